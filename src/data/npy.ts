import { endianness } from "node:os";
import { elementCount } from "../../converters/dims.ts";
import { badInput } from "../../converters/errors.ts";
import type { TensorData } from "../../converters/onnx/model.ts";
import { parseLiteral } from "./python-literal.ts";

/** One array of an `.npz`, row-major. Integers of 64 bits are doubles here, exact up to 2⁵³. */
export interface NpyArray {
  readonly dims: readonly number[];
  readonly kind: "float" | "integer";
  readonly data: Exclude<TensorData, BigInt64Array | BigUint64Array | readonly string[]>;
}

type Elements = (memory: ArrayBuffer) => NpyArray["data"];
/** A wide integer by the double that equals it. */
const doubles = (values: BigInt64Array | BigUint64Array) => Float64Array.from(values, Number);
/** Elements in the byte order of this machine. */
const TYPES: Readonly<Record<string, { size: 1 | 2 | 4 | 8; kind: NpyArray["kind"]; of: Elements }>> = {
  f4: { size: 4, kind: "float", of: (memory) => new Float32Array(memory) },
  f8: { size: 8, kind: "float", of: (memory) => new Float64Array(memory) },
  i1: { size: 1, kind: "integer", of: (memory) => new Int8Array(memory) },
  u1: { size: 1, kind: "integer", of: (memory) => new Uint8Array(memory) },
  i2: { size: 2, kind: "integer", of: (memory) => new Int16Array(memory) },
  u2: { size: 2, kind: "integer", of: (memory) => new Uint16Array(memory) },
  i4: { size: 4, kind: "integer", of: (memory) => new Int32Array(memory) },
  u4: { size: 4, kind: "integer", of: (memory) => new Uint32Array(memory) },
  i8: { size: 8, kind: "integer", of: (memory) => doubles(new BigInt64Array(memory)) },
  u8: { size: 8, kind: "integer", of: (memory) => doubles(new BigUint64Array(memory)) },
  b1: { size: 1, kind: "integer", of: (memory) => new Uint8Array(memory) },
};

const SWAPS = {
  1: (bytes: Buffer) => bytes,
  2: (bytes: Buffer) => bytes.swap16(),
  4: (bytes: Buffer) => bytes.swap32(),
  8: (bytes: Buffer) => bytes.swap64(),
};

/** Numbers of an array in Fortran order (first axis fastest), in C order (last axis fastest). */
function rowMajor<T extends NpyArray["data"]>(data: T, dims: readonly number[]): T {
  const out = data.slice() as T;
  const strides = dims.map((_, axis) => elementCount(dims.slice(0, axis)));
  const index = dims.map(() => 0);
  for (let to = 0, from = 0; to < out.length; to++) {
    out[to] = data[from]!;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < dims[axis]!) break;
      from -= strides[axis]! * dims[axis]!;
      index[axis] = 0;
    }
  }
  return out;
}

/** NumPy reads no longer one either. */
const LONGEST_HEADER = 10_000;

/** What the header of a `.npy` says, as far as it is what NumPy writes; undefined otherwise. */
function headerOf(text: string) {
  const header = text.length > LONGEST_HEADER ? undefined : parseLiteral(text);
  if (!(header instanceof Map)) return undefined;
  const [descr, fortran, shape] = ["descr", "fortran_order", "shape"].map((key) => header.get(key));
  const isDims = (value: unknown): value is readonly number[] =>
    Array.isArray(value) && value.every((d) => Number.isSafeInteger(d) && d >= 0);
  return header.size === 3 && typeof fortran === "boolean" && isDims(shape)
    ? { descr, fortran, dims: shape }
    : undefined;
}

/**
 * Decodes one `.npy` (format 1 to 3, C or Fortran order).
 * @throws badInput NPY_INVALID, NPY_DTYPE, NPY_TRUNCATED
 */
export function decodeNpy(bytes: Uint8Array, where: string): NpyArray {
  const invalid = (why: string) =>
    badInput("NPY_INVALID", `${where} is not a NumPy array (${why}); write the file with numpy.savez.`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = String.fromCharCode(...bytes.subarray(1, 6));
  if (bytes.length < 12 || bytes[0] !== 0x93 || magic !== "NUMPY") throw invalid("it does not begin as one");
  const [version, minor] = [bytes[6]!, bytes[7]!];
  if (version < 1 || version > 3 || minor !== 0) throw invalid(`its format is ${version}.${minor}`);
  const start = version === 1 ? 10 : 12;
  const offset = start + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (offset > bytes.length) throw invalid("it ends within its header");
  const text = new TextDecoder(version === 3 ? "utf-8" : "latin1").decode(bytes.subarray(start, offset));
  const header = headerOf(text);
  if (!header) throw invalid(`its header is ${text.trim().slice(0, 200)}`);
  const { descr, fortran, dims } = header;
  const [, order, element] = /^([<>|=])([a-z]\d)$/.exec(String(descr)) ?? [];
  const type = element === undefined ? undefined : TYPES[element];
  if (!type)
    throw badInput(
      "NPY_DTYPE",
      `${where} has an element type that cannot be read (${text.trim()}); save it as float32 or an integer type.`,
    );
  const wanted = elementCount(dims) * type.size;
  if (bytes.length - offset !== wanted)
    throw badInput(
      "NPY_TRUNCATED",
      `${where} holds ${bytes.length - offset} bytes of numbers, but its header ([${dims.join(", ")}] of ${descr}) promises ${wanted}; copy the file again.`,
    );
  // A copy of its own: aligned, and free to be turned round.
  const own = new Uint8Array(bytes.subarray(offset));
  if ((order === ">") === (endianness() === "LE")) SWAPS[type.size](Buffer.from(own.buffer));
  const data = type.of(own.buffer);
  return { dims, kind: type.kind, data: fortran && dims.length > 1 ? rowMajor(data, dims) : data };
}
