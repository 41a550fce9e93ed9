import { badInput } from "../errors.ts";
import { dataTypeName } from "../onnx/codecs.ts";
import { type ExternalLocation, externalLocation } from "../onnx/external.ts";
import type { DataType } from "../onnx/model.ts";
import { type Field, fields, readerOf } from "../onnx/protobuf.ts";
import { attributeKey, WEIGHT_ATTRIBUTES } from "./linear-models.ts";
import { firstOutput, functionPrefix, subgraphPrefix } from "./subgraphs.ts";

/**
 * The length prefix of an enclosing message or packed field. It must change if the length of its contents
 * does.
 */
export interface LengthPrefix {
  /** The prefix is at `[at, body)`; it is the length of `[body, end)`. */
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
 * Where the values of a tensor are stored. "fixed": little-endian elements in `chunks` of the model file, in
 * order. "varints": 16-bit patterns or integers as varints in `chunks`. "external": bytes of a side file,
 * given by `external`. "sealed": not writable here (strings, unknown element types).
 */
export interface PayloadSite {
  /**
   * Initializer name, or the output name of a Constant node; in a subgraph or function with its prefix, and
   * `<first output>/<attribute>` for weights in attributes.
   */
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

/** The bytes of a repeated scalar: a whole packed field, or one unpacked element. */
const chunkOf = (field: Field, parent: LengthPrefix): Chunk => ({
  start: field.body,
  end: field.end,
  inside: field.wire === 2 ? prefixOf(field, parent) : parent,
});

/** The TensorProto field that holds the values when raw_data is absent. */
const typedField: { readonly [type in DataType]?: number } = {
  float32: 4,
  float64: 10,
  float16: 5,
  bfloat16: 5,
  int8: 5,
  uint8: 5,
  int16: 5,
  uint16: 5,
  int32: 5,
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

/** Every payload in a node: the value of a Constant, weights in attributes, and payloads in its subgraphs. */
function nodeSites(bytes: Uint8Array, node: LengthPrefix, prefix: string): PayloadSite[] {
  const outputs: string[] = [];
  let name = "";
  let opType = "";
  let domain = "";
  const attributes: LengthPrefix[] = [];
  for (const field of fields(bytes, node.body, node.end)) {
    if (field.number === 2) outputs.push(utf8(bytes, field));
    else if (field.number === 3) name = utf8(bytes, field);
    else if (field.number === 4) opType = utf8(bytes, field);
    else if (field.number === 7) domain = utf8(bytes, field);
    else if (field.number === 5) attributes.push(prefixOf(field, node));
  }
  const first = firstOutput({ name, outputs: outputs.map((output) => output && prefix + output) });
  const isConstant = opType === "Constant" && (domain === "" || domain === "ai.onnx");
  const weights = domain === "ai.onnx.ml" ? (WEIGHT_ATTRIBUTES[opType] ?? []) : [];
  return attributes.flatMap((attribute) => attributeSites(bytes, attribute, first, isConstant, weights));
}

function attributeSites(
  bytes: Uint8Array,
  attribute: LengthPrefix,
  node: string,
  isConstant: boolean,
  weights: readonly string[],
): PayloadSite[] {
  let name = "";
  let tensor: LengthPrefix | undefined;
  let graph: LengthPrefix | undefined;
  const single: Chunk[] = [];
  const list: Chunk[] = [];
  for (const field of fields(bytes, attribute.body, attribute.end)) {
    if (field.number === 1) name = utf8(bytes, field);
    else if (field.number === 5) tensor = prefixOf(field, attribute);
    else if (field.number === 6) graph = prefixOf(field, attribute);
    else if (field.number === 2) single.splice(0, 1, chunkOf(field, attribute));
    else if (field.number === 7) list.push(chunkOf(field, attribute));
  }
  if (graph) return graphSites(bytes, graph, subgraphPrefix(node, name));
  if (isConstant && name === "value" && tensor) return [tensorSite(bytes, tensor, node)];
  const floats = (key: string, chunks: readonly Chunk[]): PayloadSite[] => [
    { key, dtype: "float32", storage: "fixed", chunks, external: undefined },
  ];
  if (isConstant && name === "value_float") return floats(node, single);
  if (isConstant && name === "value_floats") return floats(node, list);
  return weights.includes(name) ? floats(attributeKey(node, name), list) : [];
}

function graphSites(bytes: Uint8Array, graph: LengthPrefix, prefix: string): PayloadSite[] {
  const sites: PayloadSite[] = [];
  for (const field of fields(bytes, graph.body, graph.end)) {
    if (field.number === 5) {
      const site = tensorSite(bytes, prefixOf(field, graph), undefined);
      sites.push({ ...site, key: prefix + site.key });
    } else if (field.number === 1) sites.push(...nodeSites(bytes, prefixOf(field, graph), prefix));
  }
  return sites;
}

/** Constants in the body of a model-local function. */
function functionSites(bytes: Uint8Array, body: LengthPrefix): PayloadSite[] {
  let name = "";
  let domain = "";
  const nodes: LengthPrefix[] = [];
  for (const field of fields(bytes, body.body, body.end)) {
    if (field.number === 1) name = utf8(bytes, field);
    else if (field.number === 10) domain = utf8(bytes, field);
    else if (field.number === 7) nodes.push(prefixOf(field, body));
  }
  const prefix = functionPrefix({ domain: domain === "ai.onnx" ? "" : domain, name });
  return nodes.flatMap((node) => nodeSites(bytes, node, prefix));
}

/**
 * Every tensor payload of the graph, its subgraphs and the model's functions, in file order, found by reading
 * the wire format field by field. No value is decoded, so fields newer than this program do no harm.
 * @param bytes a model file that {@link readModel} accepted
 * @throws badInput "DAMAGED" where the file has two graphs
 */
export function payloadSites(bytes: Uint8Array): readonly PayloadSite[] {
  const sites: PayloadSite[] = [];
  let graphs = 0;
  for (const modelField of fields(bytes)) {
    if (modelField.number === 25) sites.push(...functionSites(bytes, prefixOf(modelField, undefined)));
    if (modelField.number !== 7) continue;
    if (graphs++ > 0) throw badInput("DAMAGED", "The model file has two graphs; export the model again.");
    sites.push(...graphSites(bytes, prefixOf(modelField, undefined), ""));
  }
  return sites;
}

/** Names of the tensors that can be written: they have a single payload, in a writable storage. */
export function writableTensors(bytes: Uint8Array): ReadonlySet<string> {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const { key, storage } of payloadSites(bytes)) {
    if (storage === "sealed" || seen.has(key)) twice.add(key);
    seen.add(key);
  }
  for (const key of twice) seen.delete(key);
  return seen;
}

/** Where a tensor names its external data, in the bytes of the model file. */
export interface ExternalEntry {
  readonly location: string;
  /** The bytes of the name. */
  readonly name: Chunk;
  /** The bytes of the SHA-1 of the data, where the model says it. */
  readonly checksum: Chunk | undefined;
}

/** Fields that hold messages with tensors, of each message of onnx.proto on the way to one. */
const HOLDS = {
  model: { 7: "graph", 20: "training", 25: "function" },
  training: { 1: "graph", 2: "graph" },
  function: { 7: "node", 11: "attribute" },
  graph: { 1: "node", 5: "tensor", 15: "sparse" },
  sparse: { 1: "tensor", 2: "tensor" },
  node: { 5: "attribute" },
  attribute: { 5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse" },
} as const satisfies Readonly<Record<string, Readonly<Record<number, string>>>>;
type Holder = keyof typeof HOLDS;

/**
 * Every tensor of the file with external data, in file order: also those that hold no weight.
 * @throws RangeError or Error where the bytes are no protobuf
 */
export function externalEntries(bytes: Uint8Array): readonly ExternalEntry[] {
  const found: ExternalEntry[] = [];
  const visitTensor = (tensor: LengthPrefix): void => {
    let isExternal = false;
    const named = new Map<string, Chunk>();
    for (const field of fields(bytes, tensor.body, tensor.end)) {
      if (field.number === 14 && field.wire === 0)
        isExternal = readerOf(bytes, field.body, field.end).uint32() === 1;
      if (field.number !== 13) continue;
      const pair = prefixOf(field, tensor);
      const [key] = entry(bytes, field);
      for (const value of fields(bytes, field.body, field.end))
        if (value.number === 2) named.set(key, chunkOf(value, pair));
    }
    const name = named.get("location");
    if (!isExternal || !name) return;
    const location = new TextDecoder().decode(bytes.subarray(name.start, name.end));
    found.push({ location, name, checksum: named.get("checksum") });
  };
  const visit = (holder: Holder, message: LengthPrefix | undefined): void => {
    const held: Readonly<Record<number, Holder | "tensor">> = HOLDS[holder];
    for (const field of fields(bytes, message?.body ?? 0, message?.end ?? bytes.length)) {
      const kind = field.wire === 2 ? held[field.number] : undefined;
      if (kind === "tensor") visitTensor(prefixOf(field, message));
      else if (kind) visit(kind, prefixOf(field, message));
    }
  };
  visit("model", undefined);
  return found;
}
