import { readFileSync } from "node:fs";
import { endianness } from "node:os";
import { unzipSync, zipSync } from "fflate";
import { elementCount } from "../../converters/dims.ts";
import { badInput } from "../../converters/errors.ts";
import type { TensorData } from "../../converters/onnx/model.ts";

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

/** Decodes one `.npy` (format 1 to 3, C order). @throws badInput NPY_INVALID, NPY_DTYPE, NPY_ORDER */
export function decodeNpy(bytes: Uint8Array, where: string): NpyArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = String.fromCharCode(...bytes.subarray(1, 6));
  if (bytes.length < 10 || bytes[0] !== 0x93 || magic !== "NUMPY")
    throw badInput("NPY_INVALID", `${where} is not a NumPy array; write the file with numpy.savez.`);
  const wide = bytes[6]! >= 2;
  const start = wide ? 12 : 10;
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const header = new TextDecoder("latin1").decode(bytes.subarray(start, start + length));
  const descr = /'descr':\s*'([<>|=])([a-z])(\d+)'/.exec(header);
  const shape = /'shape':\s*\(([^)]*)\)/.exec(header);
  const type = descr && TYPES[`${descr[2]}${descr[3]}`];
  if (!descr || !shape || !type)
    throw badInput(
      "NPY_DTYPE",
      `${where} has an element type that cannot be read (${header.trim()}); save it as float32 or an integer type.`,
    );
  if (/'fortran_order':\s*True/.test(header))
    throw badInput(
      "NPY_ORDER",
      `${where} is stored in Fortran order; save numpy.ascontiguousarray(x) instead.`,
    );
  const dims = shape[1]!
    .split(",")
    .map((s) => s.trim())
    .filter(Boolean)
    .map(Number);
  const count = elementCount(dims);
  const offset = start + length;
  if (bytes.length - offset < count * type.size)
    throw badInput(
      "NPY_TRUNCATED",
      `${where} holds fewer than the ${count} elements its header promises; the file is truncated, copy it again.`,
    );
  // A copy of its own: aligned, and free to be turned round.
  const own = new Uint8Array(bytes.subarray(offset, offset + count * type.size));
  if ((descr[1] === ">") === (endianness() === "LE")) SWAPS[type.size](Buffer.from(own.buffer));
  return { dims, kind: type.kind, data: type.of(own.buffer) };
}

/**
 * Reads every array of an `.npz` (numpy.savez and savez_compressed).
 * @throws badInput FILE_UNREADABLE, NPZ_INVALID
 */
export function readNpz(path: string): Map<string, NpyArray> {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw badInput(
      "FILE_UNREADABLE",
      `${path} cannot be read (${(error as NodeJS.ErrnoException).code}); check the path.`,
    );
  }
  let entries: Record<string, Uint8Array>;
  try {
    entries = unzipSync(bytes);
  } catch {
    throw badInput("NPZ_INVALID", `${path} is not a .npz archive; write it with numpy.savez.`);
  }
  return new Map(
    Object.entries(entries)
      .filter(([name]) => name.endsWith(".npy"))
      .map(([name, data]) => [name.slice(0, -4), decodeNpy(data, `${path}: array "${name.slice(0, -4)}"`)]),
  );
}

const DESCRIPTORS = { uint8: "|u1", int32: "<i4", int64: "<i8", float32: "<f4" } as const;

/** An array to be written: row-major values of shape `dims`. */
export interface NpzInput {
  readonly dtype: keyof typeof DESCRIPTORS;
  readonly dims: readonly number[];
  readonly values: ArrayLike<number>;
}

/** What numpy.savez_compressed writes for these arrays, for data that never saw Python. */
export function encodeNpz(arrays: Readonly<Record<string, NpzInput>>): Uint8Array {
  const entries = Object.entries(arrays).map(([name, { dtype, dims, values }]) => {
    const tuple = `${dims.join(", ")}${dims.length === 1 ? "," : ""}`;
    const text = `{'descr': '${DESCRIPTORS[dtype]}', 'fortran_order': False, 'shape': (${tuple}), }`;
    // Magic, version 1.0, length; padded so that the data start on a multiple of 64.
    const header = `${text.padEnd(Math.ceil((10 + text.length + 1) / 64) * 64 - 11)}\n`;
    const data =
      dtype === "uint8"
        ? Uint8Array.from(values)
        : dtype === "int32"
          ? Int32Array.from(values)
          : dtype === "int64"
            ? BigInt64Array.from(Array.from(values, BigInt))
            : Float32Array.from(values);
    const bytes = new Uint8Array(10 + header.length + data.byteLength);
    bytes.set([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, header.length & 255, header.length >> 8]);
    bytes.set(new TextEncoder().encode(header), 10);
    bytes.set(new Uint8Array(data.buffer), 10 + header.length);
    return [`${name}.npy`, bytes] as const;
  });
  return zipSync(Object.fromEntries(entries), { mtime: "1980-01-01T00:00:00" });
}
