import { elementCount } from "../../converters/dims.ts";
import { badInput } from "../../converters/errors.ts";
import { type NpyArray, readNpz } from "./npz.ts";

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

/** Reads an `.npz` as a source. @throws badInput FILE_UNREADABLE, NPZ_INVALID */
export const npzSource = (path: string): Source => arraySource(path, readNpz(path));

/** @throws badInput ARRAY_SHAPE where the numbers do not fill the shape */
function arrayOf(set: string, column: string, { data, dims }: InputArray): NpyArray {
  const wanted = elementCount(dims);
  if (data.length !== wanted || dims.length === 0)
    throw badInput(
      "ARRAY_SHAPE",
      `${set}: array "${column}" holds ${data.length} numbers, but its shape [${dims.join(", ")}] has room for ${wanted}; give the shape of all samples together.`,
    );
  if (data instanceof BigInt64Array || data instanceof BigUint64Array)
    return { dims, kind: "integer", data: Float64Array.from(data as BigInt64Array, Number) };
  const float = data instanceof Float32Array || data instanceof Float64Array;
  return { dims, kind: float ? "float" : "integer", data };
}

/**
 * Batches of the same columns as one array each.
 * @throws badInput ARRAY_SHAPE where two batches do not fit together
 */
function joined(set: string, column: string, parts: readonly NpyArray[]): NpyArray {
  const [first] = parts;
  const [, ...shape] = first!.dims;
  for (const { dims, data } of parts)
    if (dims.slice(1).join() !== shape.join() || data.constructor !== first!.data.constructor)
      throw badInput(
        "ARRAY_SHAPE",
        `${set}: one batch holds "${column}" as ${first!.data.constructor.name} [${first!.dims.join(", ")}], another as ${data.constructor.name} [${dims.join(", ")}]; give all batches the same type and sample shape.`,
      );
  const data = new (first!.data.constructor as new (length: number) => NpyArray["data"])(
    parts.reduce((sum, part) => sum + part.data.length, 0),
  );
  let [at, count] = [0, 0];
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
    count += part.dims[0]!;
  }
  return { dims: [count, ...shape], kind: first!.kind, data };
}

const isSource = (input: InputArrays | AsyncIterable<InputArrays> | Source): input is Source =>
  typeof (input as Source).gather === "function";
const isBatches = (input: InputArrays | AsyncIterable<InputArrays>): input is AsyncIterable<InputArrays> =>
  Symbol.asyncIterator in input;

/**
 * Opens a set as it was given; a file or an iterable is read here, once.
 * @param name what messages call a set that has no path
 * @throws badInput ARRAY_SHAPE, SET_EMPTY, and as {@link readNpz}
 */
export async function openSource(input: SetInput, name: string): Promise<Source> {
  if (typeof input === "string") return npzSource(input);
  if (isSource(input)) return input;
  if (!isBatches(input))
    return arraySource(
      name,
      new Map(Object.entries(input).map(([column, array]) => [column, arrayOf(name, column, array)])),
    );
  const parts = new Map<string, NpyArray[]>();
  let batches = 0;
  for await (const batch of input) {
    const columns = Object.keys(batch);
    if (batches++ > 0 && columns.sort().join() !== [...parts.keys()].sort().join())
      throw badInput(
        "ARRAY_SHAPE",
        `${name}: one batch holds ${[...parts.keys()].join(", ")}, another ${columns.join(", ")}; give all batches the same arrays.`,
      );
    for (const [column, array] of Object.entries(batch))
      parts.set(column, [...(parts.get(column) ?? []), arrayOf(name, column, array)]);
  }
  if (batches === 0) throw badInput("SET_EMPTY", `${name} holds no samples; give at least one.`);
  return arraySource(name, new Map([...parts].map(([column, all]) => [column, joined(name, column, all)])));
}
