import { elementCount } from "../../converters/dims.ts";
import type { DataType, OnnxValueInfo } from "../../converters/onnx/model.ts";
import { toRuntime } from "../../src/engine/tensors.ts";
import type * as ort from "../../src/runtime.ts";

/** One array per model input, floats as float32, integers and booleans as int32. */
export interface Sample {
  readonly data: Float32Array | Int32Array;
  readonly dims: readonly number[];
  readonly dtype: DataType;
}
export type Samples = Readonly<Record<string, Sample>>;

/** The generator mulberry32; used for synthetic inputs only. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const isFloat = (dtype: DataType) => /^b?float/.test(dtype);

/**
 * Concrete input shapes. A free first dimension becomes the batch, any other free dimension `extent`;
 * dimensions of one name become equal. A fixed first dimension is kept.
 */
export function concreteDims(
  inputs: readonly OnnxValueInfo[],
  batch: number,
  extent: number,
): ReadonlyMap<string, readonly number[]> {
  const named = new Map<string, number>();
  for (const { dims } of inputs) if (typeof dims?.[0] === "string") named.set(dims[0], batch);
  return new Map(
    inputs.map(({ name, dims }) => [
      name,
      (dims ?? []).map((d, i) =>
        typeof d === "number"
          ? d
          : typeof d === "string"
            ? (named.get(d) ?? extent)
            : i === 0
              ? batch
              : extent,
      ),
    ]),
  );
}

/** Floats uniform in ±1; integers 0 or 1, which are valid token ids, masks, segments and positions. */
export function synthesize(
  inputs: readonly OnnxValueInfo[],
  shapes: ReadonlyMap<string, readonly number[]>,
  draw: () => number,
): Samples {
  return Object.fromEntries(
    inputs.map(({ name, dtype = "float32" }) => {
      const dims = shapes.get(name)!;
      const count = elementCount(dims);
      const data = isFloat(dtype)
        ? Float32Array.from({ length: count }, () => 2 * draw() - 1)
        : Int32Array.from({ length: count }, () => (draw() < 0.5 ? 0 : 1));
      return [name, { data, dims, dtype }];
    }),
  );
}

export const toOrt = ({ data, dims, dtype }: Sample): ort.Tensor => toRuntime(data, dims, dtype);

/** Rows `from` to `to` of every input, along the first axis. */
export const rows = (samples: Samples, part: number, parts: number): Samples =>
  Object.fromEntries(
    Object.entries(samples).map(([name, sample]) => {
      const { data, dims, dtype } = sample;
      if (dims.length === 0) return [name, sample];
      const width = data.length / parts;
      return [
        name,
        {
          data: data.slice(part * width, (part + 1) * width),
          dims: [dims[0]! / parts, ...dims.slice(1)],
          dtype,
        },
      ];
    }),
  );

/** Concatenates samples of one shape along the first axis. */
export const stack = (samples: readonly Samples[]): Samples =>
  Object.fromEntries(
    Object.entries(samples[0]!).map(([name, sample]) => {
      const { dims, dtype } = sample;
      if (dims.length === 0) return [name, sample];
      const parts = samples.map((s) => s[name]!.data);
      const total = parts.reduce((sum, p) => sum + p.length, 0);
      const data = isFloat(dtype) ? new Float32Array(total) : new Int32Array(total);
      parts.reduce((at, part) => {
        data.set(part, at);
        return at + part.length;
      }, 0);
      return [name, { data, dims: [dims[0]! * samples.length, ...dims.slice(1)], dtype }];
    }),
  );
