import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { OnnxUnlearnError, verificationFailed } from "../../converters/errors.ts";
import { compareStructure } from "../../converters/export/compare.ts";
import type { OnnxModel } from "../../converters/onnx/model.ts";
import { openFile } from "../engine/session.ts";

/**
 * Checks a written model against the one it was made from, in this order: everything but float weights
 * identical; exactly
 * the intended tensors differ. @throws verificationFailed STRUCTURE_CHANGED, TENSORS_CHANGED (exit 4)
 * @param intended names of the tensors that may and must differ; undefined = only list them
 */
export function verifyStructure(before: OnnxModel, after: OnnxModel, intended?: readonly string[]) {
  const { identicalStructure, differences, changedTensors } = compareStructure(before, after);
  if (!identicalStructure)
    throw verificationFailed(
      "STRUCTURE_CHANGED",
      `The new model differs in more than weights: ${differences.slice(0, 3).join("; ")}.`,
    );
  if (intended) {
    const changed = new Set(changedTensors.map(({ name }) => name));
    const unexpected = [...changed].filter((name) => !intended.includes(name));
    const missing = intended.filter((name) => !changed.has(name));
    if (unexpected.length > 0 || missing.length > 0)
      throw verificationFailed(
        "TENSORS_CHANGED",
        `The changed tensors are not the reported ones: ${[...unexpected.map((n) => `${n} changed unexpectedly`), ...missing.map((n) => `${n} did not change`)].slice(0, 5).join("; ")}.`,
      );
  }
  return changedTensors;
}

/**
 * A new model parses and can be imported as the one it was made from.
 * @throws verificationFailed UNREADABLE (exit 4); badInput where there is no such file (exit 2)
 */
export function verifyReadable<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof OnnxUnlearnError && error.code !== "FILE_MISSING")
      throw verificationFailed("UNREADABLE", `The new model does not parse: ${error.message}`);
    throw error;
  }
}

/** ONNX Runtime loads a new model. @throws verificationFailed RUNTIME_REFUSED (exit 4) */
export async function verifyLoads(source: OnnxModel): Promise<void> {
  try {
    await (await openFile(source)).release();
  } catch (error) {
    throw verificationFailed("RUNTIME_REFUSED", (error as Error).message);
  }
}

/** Lower-case hexadecimal. */
export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** What a report says of a model, so that it can be recognised. */
export interface FileIdentity {
  readonly sha256: string;
  /** Of the model file. */
  readonly bytes: number;
  /** External data by their names in the model file; empty where there are none. */
  readonly sideFiles: readonly { readonly name: string; readonly sha256: string }[];
}

export const identify = ({ bytes, sideFiles }: Pick<OnnxModel, "bytes" | "sideFiles">): FileIdentity => ({
  sha256: sha256(bytes),
  bytes: bytes.length,
  sideFiles: [...(sideFiles ?? [])].map(([name, data]) => ({ name, sha256: sha256(data) })),
});

const verifyDigest = (path: string, found: string, expected: string): void => {
  if (found !== expected)
    throw verificationFailed(
      "HASH_MISMATCH",
      `${path} is not the file of the report: its SHA-256 differs, so some byte has changed since; scrub again or use the right file.`,
    );
};

/**
 * The external data are those of the report.
 * @param expected undefined for a report that says nothing of them
 * @throws verificationFailed HASH_MISMATCH (exit 4), naming the file
 */
export function verifySideFiles(
  path: string,
  { sideFiles: found }: FileIdentity,
  expected: FileIdentity["sideFiles"] | undefined,
): void {
  const place = (name: string) => join(dirname(path), name);
  if (found.length > 0 && expected === undefined)
    throw verificationFailed(
      "HASH_MISMATCH",
      `The report holds no SHA-256 of the data files of ${path} (${found.map(({ name }) => name).join(", ")}), so they may be of another run; scrub again for a report that does.`,
    );
  const known = new Map(expected?.map(({ name, sha256 }) => [name, sha256]));
  for (const { name, sha256 } of found) verifyDigest(place(name), sha256, known.get(name) ?? "");
  const gone = expected?.find(({ name }) => !found.some((side) => side.name === name));
  if (gone) verifyDigest(place(gone.name), "", gone.sha256);
}

/** The bytes are those of the report. @throws verificationFailed HASH_MISMATCH (exit 4) */
export const verifyBytes = (path: string, found: FileIdentity, expected: { readonly sha256: string }): void =>
  verifyDigest(path, found.sha256, expected.sha256);

/** What lies on the disk is what was to be written. @throws verificationFailed HASH_MISMATCH (exit 4) */
export function verifyWritten(path: string, expected: FileIdentity): void {
  verifyDigest(path, sha256(readFileSync(path)), expected.sha256);
  for (const side of expected.sideFiles) {
    const file = join(dirname(path), side.name);
    verifyDigest(file, sha256(readFileSync(file)), side.sha256);
  }
}
