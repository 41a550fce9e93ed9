import { elementCount } from "../../converters/dims.ts";
import type { NpyArray } from "./npy.ts";

/** Numbers in row-major order, one row per sample: `dims[0]` is the number of samples. */
export interface InputArray {
  readonly data: NpyArray["data"] | BigInt64Array | BigUint64Array;
  readonly dims: readonly number[];
}

/**
 * One array per model input, by the input's name (or `x` where the model has one input), and the truth as
 * `y`.
 */
export type InputArrays = Readonly<Record<string, InputArray>>;

/** One array of a source, for a single sample. */
export interface Column {
  readonly name: string;
  readonly kind: NpyArray["kind"];
  readonly shape: readonly number[];
}

/** A set of samples that can be read by position, wherever it lies. */
export interface Source {
  /** How messages and reports call it: a path, or what the caller named it. */
  readonly name: string;
  readonly count: number;
  readonly columns: readonly Column[];
  /** The chosen samples of every column, in that order; all of them where none are named. */
  gather(samples?: Int32Array): ReadonlyMap<string, NpyArray> | Promise<ReadonlyMap<string, NpyArray>>;
}

/**
 * What a set may be given as: the path of an `.npz`, arrays in memory, batches of arrays as they come, or a
 * reader of one's own.
 */
export type SetInput = string | InputArrays | AsyncIterable<InputArrays> | Source;

/** Rows of an array, copied. */
function rowsOf({ dims, kind, data }: NpyArray, samples: Int32Array): NpyArray {
  const width = elementCount(dims.slice(1));
  const out = new (data.constructor as new (length: number) => NpyArray["data"])(samples.length * width);
  samples.forEach((i, row) => {
    out.set(data.subarray(i * width, (i + 1) * width), row * width);
  });
  return { dims: [samples.length, ...dims.slice(1)], kind, data: out };
}

/** A source of arrays that are in memory. */
export function arraySource(name: string, arrays: ReadonlyMap<string, NpyArray>): Source {
  const first = arrays.get("y") ?? [...arrays.values()][0];
  return {
    name,
    count: first?.dims[0] ?? 0,
    columns: [...arrays].map(([column, { kind, dims }]) => ({ name: column, kind, shape: dims.slice(1) })),
    gather: (samples) =>
      samples === undefined
        ? arrays
        : new Map([...arrays].map(([column, array]) => [column, rowsOf(array, samples)])),
  };
}
