import { createHmac, randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { elementCount } from "../../converters/dims.ts";
import { badInput } from "../../converters/errors.ts";
import { createSecret } from "../../converters/export/whole.ts";
import type { Dataset } from "../data/types.ts";

/** A data set as a receipt names it: nobody without the key can confirm a guess. */
export interface NamedSet {
  readonly samples: number;
  /** HMAC-SHA256 over the records' HMACs in the order of the file, lower-case hexadecimal. */
  readonly hmacSha256: string;
  /** HMAC-SHA256 of each record; only of the forget set. */
  readonly records?: readonly string[];
}

const SHORTEST_KEY = 16;

/**
 * The key of a file; a new random one is written where there is none, readable by its owner only.
 * @throws badInput KEY_SHORT, KEY_UNREADABLE
 */
export function readKey(path: string, { create }: { readonly create: boolean }): Buffer {
  try {
    if (create && !existsSync(path)) createSecret(path, `${randomBytes(32).toString("hex")}\n`);
    const key = readFileSync(path);
    if (key.length >= SHORTEST_KEY) return key;
  } catch (error) {
    throw badInput(
      "KEY_UNREADABLE",
      `The key ${path} cannot be used (${(error as NodeJS.ErrnoException).code}); check the path.`,
    );
  }
  throw badInput(
    "KEY_SHORT",
    `The key ${path} has fewer than ${SHORTEST_KEY} bytes; make one with: openssl rand -hex 32 > ${path}`,
  );
}

/** One record: input names, sample shapes and values as they stand in the data file, then the label. */
function recordHmac(key: Buffer, set: Dataset, index: number): Buffer {
  const hmac = createHmac("sha256", key);
  for (const name of Object.keys(set.inputs).sort()) {
    const { data, dims } = set.inputs[name]!;
    const width = elementCount(dims.slice(1));
    const part = data.subarray(index * width, (index + 1) * width);
    hmac.update(JSON.stringify([name, dims.slice(1), data instanceof Float32Array ? "float32" : "int32"]));
    hmac.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  }
  const { data, dims, width } = set.truth;
  const truth = data.subarray(index * width, (index + 1) * width);
  return hmac.update(JSON.stringify([dims.length === 0 ? "label" : "targets", ...truth])).digest();
}

/**
 * Names a set under the key. The set is loaded without preprocessing, so that its name does not depend on it.
 */
export function nameSet(key: Buffer, set: Dataset, { records }: { readonly records: boolean }): NamedSet {
  const each = Array.from({ length: set.count }, (_, i) => recordHmac(key, set, i));
  const all = createHmac("sha256", key);
  for (const one of each) all.update(one);
  return {
    samples: set.count,
    hmacSha256: all.digest("hex"),
    ...(records ? { records: each.map((one) => one.toString("hex")) } : {}),
  };
}
