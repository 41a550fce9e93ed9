import type { TensorSpec } from "../../converters/compile/step.ts";
import { elementCount } from "../../converters/dims.ts";
import { badInput } from "../../converters/errors.ts";
import type { Truth, TruthArray } from "./task.ts";

/** @param dims shape per sample; [] for one class */
export const truthOf = (data: Truth["data"], dims: readonly number[] = []): Truth => ({
  data,
  dims,
  width: elementCount(dims),
});

/** Of a batch of so many samples. */
export const truthSpec = ({ data, dims }: Truth, rows: number): TensorSpec => ({
  shape: [rows, ...dims],
  dtype: data instanceof Int32Array ? "int32" : "float32",
});

/** An array like `data` for so many numbers. */
export const emptyLike = <T extends Float32Array | Int32Array>(data: T, length: number): T =>
  new (data.constructor as new (length: number) => T)(length);

/** Rows of a row-major array, in the given order. */
export function rowsOf<T extends Float32Array | Int32Array>(
  data: T,
  width: number,
  rows: ArrayLike<number>,
): T {
  const out = emptyLike(data, rows.length * width);
  for (let at = 0; at < rows.length; at++)
    out.set(data.subarray(rows[at]! * width, (rows[at]! + 1) * width), at * width);
  return out;
}

/** The truth of some samples, in the given order. */
export const truthRows = (truth: Truth, rows: ArrayLike<number>): Truth => ({
  ...truth,
  data: rowsOf(truth.data, truth.width, rows),
});

/** Numbers as 32-bit integers, and the first place where that is not what they are, or -1. */
export function asInt32(values: ArrayLike<number>): readonly [Int32Array<ArrayBuffer>, number] {
  const whole = Int32Array.from(values);
  return [whole, whole.findIndex((value, i) => value !== values[i])];
}

/** Samples, and numbers per sample. @throws badInput SET_EMPTY */
export function layoutOf(path: string, { dims, data }: TruthArray) {
  const count = dims[0] ?? 0;
  if (count === 0) throw badInput("SET_EMPTY", `${path} holds no samples; give at least one.`);
  return { count, width: data.length / count };
}
