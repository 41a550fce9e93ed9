import { extname } from "node:path";
import { elementCount } from "../../converters/dims.ts";
import { badInput } from "../../converters/errors.ts";
import { concatenated } from "../tasks/numbers.ts";
import type { NpyArray } from "./npy.ts";
import { readNpz } from "./npz.ts";
import { arraySource, type InputArray, type InputArrays, type SetInput, type Source } from "./source.ts";

/** Reader of each data file format, by file name extension; a new format needs its reader and a line here. */
const READERS: Readonly<Record<string, (path: string) => Source | Promise<Source>>> = {
  ".npz": async (path) => arraySource(path, await readNpz(path)),
};
/** The extensions that can be read, for messages and help. */
export const FORMATS = Object.keys(READERS).join(", ");

/** A file with another extension, or none, is read as `.npz`. */
const readerOf = (path: string) => READERS[extname(path).toLowerCase()] ?? READERS[".npz"]!;

/** @throws badInput ARRAY_SHAPE where data and shape differ in their number of elements */
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
 * One column of all batches as a single array.
 * @throws badInput ARRAY_SHAPE where batches differ in type or in the shape of a sample
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
  const count = parts.reduce((sum, { dims }) => sum + dims[0]!, 0);
  return { dims: [count, ...shape], kind: first!.kind, data: concatenated(parts.map(({ data }) => data)) };
}

const isSource = (input: InputArrays | AsyncIterable<InputArrays> | Source): input is Source =>
  typeof (input as Source).gather === "function";
const isBatches = (input: InputArrays | AsyncIterable<InputArrays>): input is AsyncIterable<InputArrays> =>
  Symbol.asyncIterator in input;

/**
 * Opens a set in any of its forms; a file or an iterable is read here, once.
 * @param name name in messages of a set that is no file
 * @throws badInput ARRAY_SHAPE, SET_EMPTY, and what the reader of a file throws
 */
export async function openSource(input: SetInput, name: string): Promise<Source> {
  if (typeof input === "string") return readerOf(input)(input);
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
