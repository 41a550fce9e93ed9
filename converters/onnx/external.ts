import { readFileSync, realpathSync } from "node:fs";
import { dirname, isAbsolute, join, relative, sep } from "node:path";
import { badInput, notTrainable } from "../errors.ts";

/**
 * Where a tensor's payload is outside the model file. `length` undefined: as many bytes as the tensor needs.
 */
export interface ExternalLocation {
  /** Path relative to the model's folder, as the model spells it. */
  readonly location: string;
  /** Bytes from the start of that file. */
  readonly offset: number;
  readonly length: number | undefined;
}

/**
 * TensorProto.external_data entries → location.
 * @throws badInput "EXTERNAL_DATA" for a missing or malformed entry
 */
export function externalLocation(
  entries: Iterable<readonly [string, string]>,
  where: string,
): ExternalLocation {
  const values = new Map(entries);
  const count = (key: string): number | undefined => {
    const text = values.get(key);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
    throw badInput(
      "EXTERNAL_DATA",
      `The ${where} has external data with ${key} "${text}", which is no byte count; export the model again.`,
    );
  };
  const location = values.get("location");
  if (!location)
    throw badInput(
      "EXTERNAL_DATA",
      `The ${where} has external data without a location; export the model again.`,
    );
  return { location, offset: count("offset") ?? 0, length: count("length") };
}

/**
 * Reads a file as a plain Uint8Array, since subarray and slice of a Buffer behave differently; no copy is
 * made.
 */
export function readBytes(path: string): Uint8Array {
  const { buffer, byteOffset, length } = readFileSync(path);
  return new Uint8Array(buffer, byteOffset, length);
}

const escapes = (folder: string, path: string): boolean => {
  const way = relative(folder, path);
  return way === ".." || way.startsWith(`..${sep}`) || isAbsolute(way);
};

/**
 * Reads the side file of a tensor.
 * @param modelPath path of the model file; undefined for a model read from memory
 * @throws badInput "EXTERNAL_DATA" if the path leaves the model's folder, notTrainable
 *   "EXTERNAL_DATA_MISSING" if it cannot be read
 */
export function readSideFile(modelPath: string | undefined, location: string, where: string): Uint8Array {
  if (modelPath === undefined) {
    throw badInput(
      "EXTERNAL_DATA",
      `The ${where} keeps its values in the file "${location}", but the model was read from memory; open it by its path.`,
    );
  }
  const folder = dirname(modelPath);
  const path = join(folder, location);
  const outside = () =>
    badInput(
      "EXTERNAL_DATA",
      `The ${where} keeps its values in "${location}", which is outside the model's folder ${folder}; put the data file beside the model and export it with that relative path.`,
    );
  if (isAbsolute(location) || location.includes("\0") || escapes(folder, path)) throw outside();
  try {
    if (escapes(realpathSync(folder), realpathSync(path))) throw outside();
    return readBytes(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "EXTERNAL_DATA") throw error;
    throw notTrainable(
      "EXTERNAL_DATA_MISSING",
      `The ${where} keeps its values in ${path}, which cannot be read (${code ?? String(error)}); put that file back beside the model.`,
    );
  }
}
