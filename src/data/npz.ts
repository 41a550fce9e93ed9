import { readFileSync } from "node:fs";
import { type Entry, Uint8ArrayReader, Uint8ArrayWriter, ZipReader } from "@zip.js/zip.js";
import { zipSync } from "fflate";
import { badInput } from "../../converters/errors.ts";
import { decodeNpy, type NpyArray } from "./npy.ts";

/**
 * DEFLATE cannot shrink more than this; NumPy's arrays of one number repeated come close to it, so a smaller
 * ratio is only refused in entries of GIBIBYTE and more.
 */
const DEFLATE_LIMIT = 1032;
const GIBIBYTE = 2 ** 30;
const BOMB_RATIO = 500;

/** The uncompressed bytes of an entry. @throws Error where they are not what the archive says of them */
async function unpack(entry: Entry): Promise<Uint8Array> {
  const { compressedSize, uncompressedSize } = entry;
  if (entry.directory) {
    if (uncompressedSize === 0 && compressedSize === 0) return new Uint8Array();
    throw new Error("a folder that has contents");
  }
  const limit = uncompressedSize >= GIBIBYTE ? BOMB_RATIO : DEFLATE_LIMIT;
  if (uncompressedSize > limit * compressedSize)
    throw new Error(`${compressedSize} bytes that claim to hold ${uncompressedSize}`);
  return entry.getData(new Uint8ArrayWriter());
}

/**
 * Reads every array of an `.npz` (numpy.savez and savez_compressed). Checksums and sizes are checked, and the
 * two headers of each entry must agree: a damaged archive is refused.
 * @throws badInput FILE_UNREADABLE, NPZ_INVALID, NPY_INVALID, NPY_DTYPE, NPY_TRUNCATED
 */
export async function readNpz(path: string): Promise<Map<string, NpyArray>> {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw badInput(
      "FILE_UNREADABLE",
      `${path} cannot be read (${(error as NodeJS.ErrnoException).code}); check the path.`,
    );
  }
  const archive = new ZipReader(new Uint8ArrayReader(bytes), {
    strictness: "strict",
    checkCrc32: true,
    checkOverlappingEntry: true,
    // Names are those of model inputs, such as /conv/x:0, and never paths.
    filenameValidation: "tolerant",
    useWebWorkers: false,
  });
  const refused = (what: string, error: unknown, remedy: string) =>
    badInput("NPZ_INVALID", `${what} (${(error as Error).message}); ${remedy} with numpy.savez.`);
  const entries = await archive.getEntries().catch((error) => {
    throw refused(`${path} is not a .npz archive, or is damaged`, error, "copy it again or write it");
  });
  const arrays = new Map<string, NpyArray>();
  for (const entry of entries) {
    const isArray = entry.filename.endsWith(".npy");
    const name = isArray ? entry.filename.slice(0, -4) : entry.filename;
    const where = `${path}: array "${name}"`;
    // Every entry: a damaged name may hide an array.
    try {
      bytes = await unpack(entry);
    } catch (error) {
      throw refused(`${where} is damaged`, error, "copy the file again or write it");
    }
    if (isArray) arrays.set(name, decodeNpy(bytes, where));
  }
  return arrays;
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
