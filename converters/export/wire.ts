import { badInput } from "../errors.ts";
import { dataTypeName } from "../onnx/codecs.ts";
import { type ExternalLocation, externalLocation } from "../onnx/external.ts";
import type { DataType } from "../onnx/model.ts";
import { encodeVarint, type Field, fields, readerOf } from "../onnx/protobuf.ts";

/** The length prefix of an enclosing message or packed field; it changes when bytes inside it do. */
export interface LengthPrefix {
  /** The prefix itself is `[at, body)`, what it measures `[body, end)`. */
  readonly at: number;
  readonly body: number;
  readonly end: number;
  readonly parent: LengthPrefix | undefined;
}

/** A run of payload bytes; `inside` is the innermost length prefix around it. */
export interface Chunk {
  readonly start: number;
  readonly end: number;
  readonly inside: LengthPrefix | undefined;
}

/**
 * Where one tensor's values lie. "fixed": little-endian elements in `chunks` of the model file, one after the other.
 * "varints": 16-bit patterns as varints in `chunks`. "external": `external` says which bytes of a side file.
 * "sealed": a payload this exporter does not write (integers, strings, element types it does not know).
 */
export interface PayloadSite {
  /** Initializer name, or the output name of a Constant node. */
  readonly key: string;
  readonly dtype: DataType | undefined;
  readonly storage: "fixed" | "varints" | "external" | "sealed";
  readonly chunks: readonly Chunk[];
  readonly external: ExternalLocation | undefined;
}

const utf8 = (bytes: Uint8Array, field: Field): string =>
  new TextDecoder().decode(bytes.subarray(field.body, field.end));

const prefixOf = (field: Field, parent: LengthPrefix | undefined): LengthPrefix => ({
  at: field.prefix,
  body: field.body,
  end: field.end,
  parent,
});

/** A repeated scalar's run: a packed field as a whole, or one unpacked element. */
const chunkOf = (field: Field, parent: LengthPrefix): Chunk => ({
  start: field.body,
  end: field.end,
  inside: field.wire === 2 ? prefixOf(field, parent) : parent,
});

/** Which TensorProto field holds the values of a float kind when raw_data is absent. */
const typedField: { readonly [type in DataType]?: number } = {
  float32: 4,
  float64: 10,
  float16: 5,
  bfloat16: 5,
};

function tensorSite(bytes: Uint8Array, tensor: LengthPrefix, key: string | undefined): PayloadSite {
  let name = "";
  let dtype: DataType | undefined;
  let raw: Chunk | undefined;
  let isExternal = false;
  const external: [string, string][] = [];
  const typed: { number: number; chunk: Chunk }[] = [];
  for (const field of fields(bytes, tensor.body, tensor.end)) {
    const scalar = () => readerOf(bytes, field.body, field.end).uint32();
    if (field.number === 2 && field.wire === 0) dtype = dataTypeName(scalar());
    else if (field.number === 8) name = utf8(bytes, field);
    else if (field.number === 9) raw = chunkOf(field, tensor);
    else if (field.number === 13) external.push(entry(bytes, field));
    else if (field.number === 14 && field.wire === 0) isExternal = scalar() === 1;
    else if (field.number === 4 || field.number === 5 || field.number === 10) {
      typed.push({ number: field.number, chunk: chunkOf(field, tensor) });
    }
  }
  const site = { key: key ?? name, dtype, external: undefined };
  const field = dtype && typedField[dtype];
  if (isExternal) {
    return {
      ...site,
      storage: "external",
      chunks: [],
      external: externalLocation(external, `tensor "${site.key}"`),
    };
  }
  if (field === undefined) return { ...site, storage: "sealed", chunks: [] };
  if (raw) return { ...site, storage: "fixed", chunks: [raw] };
  const chunks = typed.filter(({ number }) => number === field).map(({ chunk }) => chunk);
  return { ...site, storage: field === 5 ? "varints" : "fixed", chunks };
}

/** StringStringEntryProto: key=1, value=2. */
function entry(bytes: Uint8Array, message: Field): [string, string] {
  const pair: [string, string] = ["", ""];
  for (const field of fields(bytes, message.body, message.end)) {
    if (field.number === 1) pair[0] = utf8(bytes, field);
    if (field.number === 2) pair[1] = utf8(bytes, field);
  }
  return pair;
}

/** The values of a Constant node: attribute value (a tensor), value_float or value_floats; undefined for other nodes. */
function constantSite(bytes: Uint8Array, node: LengthPrefix): PayloadSite | undefined {
  let output = "";
  let opType = "";
  let domain = "";
  const attributes: LengthPrefix[] = [];
  for (const field of fields(bytes, node.body, node.end)) {
    if (field.number === 2) output = utf8(bytes, field);
    else if (field.number === 4) opType = utf8(bytes, field);
    else if (field.number === 7) domain = utf8(bytes, field);
    else if (field.number === 5) attributes.push(prefixOf(field, node));
  }
  if (opType !== "Constant" || (domain !== "" && domain !== "ai.onnx")) return undefined;
  for (const attribute of attributes) {
    let name = "";
    let tensor: LengthPrefix | undefined;
    const single: Chunk[] = [];
    const list: Chunk[] = [];
    for (const field of fields(bytes, attribute.body, attribute.end)) {
      if (field.number === 1) name = utf8(bytes, field);
      else if (field.number === 5) tensor = prefixOf(field, attribute);
      else if (field.number === 2) single.splice(0, 1, chunkOf(field, attribute));
      else if (field.number === 7) list.push(chunkOf(field, attribute));
    }
    if (name === "value" && tensor) return tensorSite(bytes, tensor, output);
    const chunks = name === "value_float" ? single : name === "value_floats" ? list : undefined;
    if (chunks) return { key: output, dtype: "float32", storage: "fixed", chunks, external: undefined };
  }
  return undefined;
}

/**
 * Every tensor payload of the main graph, in file order, found by walking the wire format: initializers by name and
 * Constant nodes by their output's name. Nothing is decoded, so fields newer than this program do no harm.
 * @param bytes a model file that {@link readModel} accepted
 * @throws badInput "damaged" where the file has two graphs
 */
export function payloadSites(bytes: Uint8Array): readonly PayloadSite[] {
  const sites: PayloadSite[] = [];
  let graphs = 0;
  for (const modelField of fields(bytes)) {
    if (modelField.number !== 7) continue;
    if (graphs++ > 0) throw badInput("damaged", "The model file has two graphs; export the model again.");
    const graph = prefixOf(modelField, undefined);
    for (const field of fields(bytes, graph.body, graph.end)) {
      if (field.number === 5) sites.push(tensorSite(bytes, prefixOf(field, graph), undefined));
      else if (field.number === 1) {
        const site = constantSite(bytes, prefixOf(field, graph));
        if (site) sites.push(site);
      }
    }
  }
  return sites;
}

/** Replace `[start, end)` by `bytes`. */
export interface Edit extends Chunk {
  readonly bytes: Uint8Array;
}

/** Apply edits that may change lengths, and correct every length prefix around them; all other bytes stay. */
export function applyEdits(bytes: Uint8Array, edits: readonly Edit[]): Uint8Array {
  const growth = new Map<number, { prefix: LengthPrefix; delta: number }>();
  const grow = (prefix: LengthPrefix | undefined, delta: number): void => {
    if (!prefix || delta === 0) return;
    const known = growth.get(prefix.at);
    if (known) known.delta += delta;
    else growth.set(prefix.at, { prefix, delta });
  };
  for (const edit of edits) {
    const delta = edit.bytes.length - (edit.end - edit.start);
    for (let prefix = edit.inside; prefix; prefix = prefix.parent) grow(prefix, delta);
  }
  // An inner prefix lies behind the outer ones; where it gets wider itself, everything around it grows too.
  const all: Edit[] = [...edits];
  for (const { prefix, delta } of [...growth.values()].sort((a, b) => b.prefix.at - a.prefix.at)) {
    if (delta === 0) continue;
    const replacement = encodeVarint(prefix.end - prefix.body + delta);
    const wider = replacement.length - (prefix.body - prefix.at);
    for (let outer = prefix.parent; outer; outer = outer.parent) {
      const known = growth.get(outer.at);
      if (known) known.delta += wider;
    }
    all.push({ start: prefix.at, end: prefix.body, bytes: replacement, inside: undefined });
  }
  all.sort((a, b) => a.start - b.start);
  const size = all.reduce((total, edit) => total + edit.bytes.length - (edit.end - edit.start), bytes.length);
  const result = new Uint8Array(size);
  let read = 0;
  let write = 0;
  for (const edit of all) {
    result.set(bytes.subarray(read, edit.start), write);
    write += edit.start - read;
    result.set(edit.bytes, write);
    write += edit.bytes.length;
    read = edit.end;
  }
  result.set(bytes.subarray(read), write);
  return result;
}
