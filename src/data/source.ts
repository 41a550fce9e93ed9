import { elementCount } from "../../converters/dims.ts";
import { rowsOf } from "../tasks/numbers.ts";
import type { NpyArray } from "./npy.ts";

/** An array in row-major order, samples first: `dims[0]` is the number of samples. */
export interface InputArray {
  readonly data: NpyArray["data"] | BigInt64Array | BigUint64Array;
  readonly dims: readonly number[];
}

/** One array per model input by its name (or `x` where the model has one input), and the truth as `y`. */
export type InputArrays = Readonly<Record<string, InputArray>>;

/** Name, kind and shape per sample of one array of a source. */
export interface Column {
  readonly name: string;
  readonly kind: NpyArray["kind"];
  readonly shape: readonly number[];
}

/** A set of samples that can be read by index, wherever they are stored. */
export interface Source {
  /** Name in messages and reports: the path of a file, or one that the caller chose. */
  readonly name: string;
  readonly count: number;
  readonly columns: readonly Column[];
  /** The given samples of every column, in that order; all samples by default. */
  gather(samples?: Int32Array): ReadonlyMap<string, NpyArray> | Promise<ReadonlyMap<string, NpyArray>>;
}

/**
 * The forms of a set: the path of an `.npz` file, arrays in memory, an async iterable of batches, or an own
 * implementation of {@link Source}.
 */
export type SetInput = string | InputArrays | AsyncIterable<InputArrays> | Source;

/** Copies the chosen samples of an array. */
function samplesOf({ dims: [, ...shape], kind, data }: NpyArray, samples: Int32Array): NpyArray {
  return { dims: [samples.length, ...shape], kind, data: rowsOf(data, elementCount(shape), samples) };
}

/** A source whose arrays are in memory. */
export function arraySource(name: string, arrays: ReadonlyMap<string, NpyArray>): Source {
  const first = arrays.get("y") ?? [...arrays.values()][0];
  return {
    name,
    count: first?.dims[0] ?? 0,
    columns: [...arrays].map(([column, { kind, dims }]) => ({ name: column, kind, shape: dims.slice(1) })),
    gather: (samples) =>
      samples === undefined
        ? arrays
        : new Map([...arrays].map(([column, array]) => [column, samplesOf(array, samples)])),
  };
}
