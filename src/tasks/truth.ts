import type { TensorSpec } from "../../converters/compile/step.ts";
import { elementCount } from "../../converters/dims.ts";
import { badInput } from "../../converters/errors.ts";
import { rowsOf } from "./numbers.ts";
import type { Truth, TruthArray } from "./task.ts";

/** @param dims shape per sample; [] for one class */
export const truthOf = (data: Truth["data"], dims: readonly number[] = []): Truth => ({
  data,
  dims,
  width: elementCount(dims),
});

/** Shape and type of the truth in a batch of `rows` samples. */
export const truthSpec = ({ data, dims }: Truth, rows: number): TensorSpec => ({
  shape: [rows, ...dims],
  dtype: data instanceof Int32Array ? "int32" : "float32",
});

/** The truth of some samples, in the given order. */
export const truthRows = (truth: Truth, rows: ArrayLike<number>): Truth => ({
  ...truth,
  data: rowsOf(truth.data, truth.width, rows),
});

/** The values as int32, and the index of the first value that is no 32-bit integer; −1 if all are. */
export function asInt32(values: ArrayLike<number>): readonly [Int32Array<ArrayBuffer>, number] {
  const whole = Int32Array.from(values);
  return [whole, whole.findIndex((value, i) => value !== values[i])];
}

/** Number of samples of an array, and of values per sample. @throws badInput SET_EMPTY */
export function layoutOf(path: string, { dims, data }: TruthArray) {
  const count = dims[0] ?? 0;
  if (count === 0) throw badInput("SET_EMPTY", `${path} holds no samples; give at least one.`);
  return { count, width: data.length / count };
}
