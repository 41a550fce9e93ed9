import { createHash } from "node:crypto";
import { badInput, verificationFailed } from "../errors.ts";
import { normalForm } from "../graph/normal-form.ts";
import { externalEntries, type PayloadSite, payloadSites } from "../graph/payloads.ts";
import { quantisedWeights } from "../graph/quantised-weights.ts";
import { fromBfloat16Bits, fromFloat16Bits, toBfloat16Bits, toFloat16Bits } from "../onnx/floats.ts";
import type { DataType, OnnxModel } from "../onnx/model.ts";
import { encodeSigned, encodeVarint, readerOf } from "../onnx/protobuf.ts";
import { applyEdits, type Edit } from "./edits.ts";
import { contentName } from "./whole.ts";

/** A tensor with new values. */
export interface ChangedTensor {
  readonly name: string;
  readonly dtype: DataType;
  readonly elements: number;
  /** Elements whose bits differ after rounding to the tensor's own type. */
  readonly changedElements: number;
  /** Bytes that differ, counted in the tensor's own type. */
  readonly changedBytes: number;
}

/** The original file with new payload bytes; nothing is written to disk yet. */
export interface PatchResult {
  /** The model file. */
  readonly bytes: Uint8Array;
  /**
   * External data: path relative to the model's folder → the whole file. Those that changed have a name of their
   * content, beside the model; unchanged ones keep theirs.
   */
  readonly sideFiles: Map<string, Uint8Array>;
  /** Tensors with at least one changed element. */
  readonly changed: readonly ChangedTensor[];
  readonly changedBytes: number;
}

/** How an element is stored, little-endian. */
export interface ElementFormat {
  /** Bytes per element. */
  readonly width: 1 | 2 | 4 | 8;
  readonly read: (view: DataView, at: number) => number;
  readonly write: (view: DataView, at: number, value: number) => void;
}

const floatFormats: { readonly [type in DataType]?: ElementFormat } = {
  float32: {
    width: 4,
    read: (view, at) => view.getFloat32(at, true),
    write: (view, at, value) => view.setFloat32(at, value, true),
  },
  float64: {
    width: 8,
    read: (view, at) => view.getFloat64(at, true),
    write: (view, at, value) => view.setFloat64(at, value, true),
  },
  float16: {
    width: 2,
    read: (view, at) => fromFloat16Bits(view.getUint16(at, true)),
    write: (view, at, value) => view.setUint16(at, toFloat16Bits(value), true),
  },
  bfloat16: {
    width: 2,
    read: (view, at) => fromBfloat16Bits(view.getUint16(at, true)),
    write: (view, at, value) => view.setUint16(at, toBfloat16Bits(value), true),
  },
};

/** Integer types of the codes of quantised weights. */
const codeFormats: { readonly [type in DataType]?: ElementFormat } = {
  int8: {
    width: 1,
    read: (view, at) => view.getInt8(at),
    write: (view, at, value) => view.setInt8(at, value),
  },
  uint8: {
    width: 1,
    read: (view, at) => view.getUint8(at),
    write: (view, at, value) => view.setUint8(at, value),
  },
  int16: {
    width: 2,
    read: (view, at) => view.getInt16(at, true),
    write: (view, at, value) => view.setInt16(at, value, true),
  },
  uint16: {
    width: 2,
    read: (view, at) => view.getUint16(at, true),
    write: (view, at, value) => view.setUint16(at, value, true),
  },
  int32: {
    width: 4,
    read: (view, at) => view.getInt32(at, true),
    write: (view, at, value) => view.setInt32(at, value, true),
  },
};

/** The format of a tensor that can be written: a float tensor, or the codes of a quantised weight. */
export const formatOf = (
  { key, dtype }: PayloadSite,
  quantised: ReadonlyMap<string, unknown>,
): ElementFormat | undefined =>
  dtype && (floatFormats[dtype] ?? (quantised.has(key) ? codeFormats[dtype] : undefined));

/** Writes new values one element at a time and counts what changed. */
function elementPatcher(name: string, format: ElementFormat, master: Float32Array | Float64Array) {
  const single = master instanceof Float32Array;
  const scratch = new DataView(new ArrayBuffer(8));
  const counts = { elements: 0, bytes: 0 };
  /**
   * Returns whether the bits changed. A value equal to the old one as float32 leaves all old bits as they
   * are, such as the lower bits of a float64 or of a NaN.
   */
  const patch = (view: DataView, at: number, index: number): boolean => {
    const value = master[index]!;
    const before = format.read(view, at);
    if (Object.is(single ? Math.fround(before) : before, value)) return false;
    format.write(scratch, 0, value);
    if (!Number.isFinite(format.read(scratch, 0)) && Number.isFinite(before)) {
      throw verificationFailed(
        "WEIGHT_NOT_FINITE",
        `Weight "${name}" has the value ${value} at element ${index}, which its type in the file cannot hold; nothing was written: lower the learning rate and run again.`,
      );
    }
    let differing = 0;
    for (let byte = 0; byte < format.width; byte++) {
      if (view.getUint8(at + byte) !== scratch.getUint8(byte)) differing++;
    }
    if (differing === 0) return false;
    format.write(view, at, value);
    counts.elements++;
    counts.bytes += differing;
    return true;
  };
  return { patch, counts };
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function findSite(sites: readonly PayloadSite[], name: string): PayloadSite {
  const found = sites.filter(({ key }) => key === name);
  if (found.length === 0) {
    throw badInput(
      "UNKNOWN_TENSOR",
      `The model has no initializer or Constant named "${name}" to write to; check the tensor's name.`,
    );
  }
  if (found.length > 1) {
    throw badInput(
      "DUPLICATE_TENSOR",
      `The model has ${found.length} tensors named "${name}", so it is unclear which to write; export the model again.`,
    );
  }
  return found[0]!;
}

const wrongSize = (name: string, found: number, given: number) =>
  badInput(
    "WEIGHT_SIZE",
    `Tensor "${name}" has ${found} elements in the file, but ${given} values were given; give one per element.`,
  );

/** Payload bytes of a tensor in its side file. */
const externalRange = (site: PayloadSite, bytes: number): { start: number; end: number } => {
  const start = site.external?.offset ?? 0;
  return { start, end: start + (site.external?.length ?? bytes) };
};

/** Two tensors on the same bytes of a side file cannot be given different values. */
function refuseShared(sites: readonly PayloadSite[], site: PayloadSite, start: number, end: number): void {
  const other = sites.find(
    (candidate) =>
      candidate !== site &&
      candidate.external?.location === site.external?.location &&
      candidate.storage === "external" &&
      candidate.external!.offset < end &&
      candidate.external!.offset + (candidate.external!.length ?? 1) > start,
  );
  if (!other) return;
  throw badInput(
    "SHARED_EXTERNAL_DATA",
    `Tensors "${site.key}" and "${other.key}" share bytes of "${site.external?.location}", so one cannot be changed without the other; export the model again with separate data.`,
  );
}

/** Gives changed external data the names of their content, in the model's bytes too. @param edits added to */
function rename(
  model: Uint8Array,
  sideFiles: ReadonlyMap<string, Uint8Array>,
  changed: ReadonlySet<string>,
  edits: Edit[],
): Map<string, Uint8Array> {
  const names = new Map<string, { readonly name: string; readonly sha1: string }>();
  for (const location of changed) {
    const data = sideFiles.get(location)!;
    const sha1 = createHash("sha1").update(data).digest("hex");
    names.set(location, { name: contentName(location, data), sha1 });
  }
  for (const { location, name, checksum } of changed.size > 0 ? externalEntries(model) : []) {
    const renamed = names.get(location);
    if (!renamed) continue;
    edits.push({ ...name, bytes: new TextEncoder().encode(renamed.name) });
    if (checksum) edits.push({ ...checksum, bytes: new TextEncoder().encode(renamed.sha1) });
  }
  return new Map([...sideFiles].map(([location, data]) => [names.get(location)?.name ?? location, data]));
}

/**
 * The model's own bytes with new weights in place of the old, everything else untouched: no decoding and
 * re-encoding. External data that change get another name ({@link PatchResult.sideFiles}). Masters are rounded to the tensor's own type (nearest even), quantised weights to their own
 * scale and zero point; with nothing changed the bytes are identical.
 * @param weights initializer name or Constant output name → float32 values in row-major order, as many as the
 *   tensor has
 * @returns new arrays; `model` is not changed
 * @throws badInput (exit 2) "UNKNOWN_TENSOR", "DUPLICATE_TENSOR", "NOT_A_FLOAT_TENSOR", "WEIGHT_SIZE" or
 *   "SHARED_EXTERNAL_DATA"; verificationFailed (exit 4) "WEIGHT_NOT_FINITE" if a finite weight became NaN or
 *   infinite
 */
export function patchModel(model: OnnxModel, weights: ReadonlyMap<string, Float32Array>): PatchResult {
  const sites = payloadSites(model.bytes);
  const bytes = new Uint8Array(model.bytes);
  const view = viewOf(bytes);
  const sideFiles = new Map(model.sideFiles ?? []);
  const copied = new Set<string>();
  const edits: Edit[] = [];
  const changed: ChangedTensor[] = [];

  const quantised = quantisedWeights(normalForm(model));
  for (const [name, values] of weights) {
    const site = findSite(sites, name);
    const format = formatOf(site, quantised);
    const grid = quantised.get(name);
    if (grid && grid.tensor.data.length !== values.length)
      throw wrongSize(name, grid.tensor.data.length, values.length);
    const master = grid ? grid.encode(values) : values;
    if (!site.dtype || !format || site.storage === "sealed") {
      throw badInput(
        "NOT_A_FLOAT_TENSOR",
        `Tensor "${name}" is ${site.dtype ?? "of an unknown element type"}, and only float tensors and quantised weights can be given new values; leave it out.`,
      );
    }
    const { patch, counts } = elementPatcher(name, format, master);
    let elements = 0;
    const requireSize = (found: number): void => {
      if (found === master.length) return;
      throw wrongSize(name, found, master.length);
    };

    if (site.storage === "varints") {
      const element = new DataView(new ArrayBuffer(4));
      for (const chunk of site.chunks) {
        const reader = readerOf(model.bytes, chunk.start, chunk.end);
        while (reader.pos < chunk.end) {
          const start = reader.pos;
          if (grid) format.write(element, 0, reader.int32());
          else element.setUint16(0, reader.uint32(), true);
          if (elements < master.length && patch(element, 0, elements)) {
            const replacement = grid
              ? encodeSigned(format.read(element, 0))
              : encodeVarint(element.getUint16(0, true));
            edits.push({ start, end: reader.pos, bytes: replacement, inside: chunk.inside });
          }
          elements++;
        }
      }
      requireSize(elements);
    } else if (site.storage === "external") {
      const location = site.external!.location;
      const source = sideFiles.get(location);
      const { start, end } = externalRange(site, master.length * format.width);
      requireSize((end - start) / format.width);
      if (!source || end > source.length) {
        throw badInput(
          "EXTERNAL_DATA_MISSING",
          `Tensor "${name}" keeps its values in "${location}", which was not read in full; open the model by its path.`,
        );
      }
      const target = copied.has(location) ? source : new Uint8Array(source);
      const targetView = viewOf(target);
      for (; elements < master.length; elements++)
        patch(targetView, start + elements * format.width, elements);
      if (counts.elements > 0) {
        refuseShared(sites, site, start, end);
        sideFiles.set(location, target);
        copied.add(location);
      }
    } else {
      requireSize(site.chunks.reduce((total, { start, end }) => total + end - start, 0) / format.width);
      for (const { start, end } of site.chunks) {
        for (let at = start; at < end; at += format.width) patch(view, at, elements++);
      }
    }
    if (counts.elements > 0) {
      changed.push({
        name,
        dtype: site.dtype,
        elements: master.length,
        changedElements: counts.elements,
        changedBytes: counts.bytes,
      });
    }
  }
  const renamed = rename(model.bytes, sideFiles, copied, edits);
  return {
    bytes: edits.length > 0 ? applyEdits(bytes, edits) : bytes,
    sideFiles: renamed,
    changed,
    changedBytes: changed.reduce((total, tensor) => total + tensor.changedBytes, 0),
  };
}
