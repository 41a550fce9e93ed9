import { createHash } from "node:crypto";
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

/** What a report says of a file, so that it can be recognised. */
export interface FileIdentity {
  readonly sha256: string;
  readonly bytes: number;
}

export const identify = (bytes: Uint8Array): FileIdentity => ({ sha256: sha256(bytes), bytes: bytes.length });

/** The bytes are those of the report. @throws verificationFailed HASH_MISMATCH (exit 4) */
export function verifyBytes(path: string, bytes: Uint8Array, expected: string): void {
  if (sha256(bytes) !== expected)
    throw verificationFailed(
      "HASH_MISMATCH",
      `${path} is not the file of the report: its SHA-256 differs, so some byte has changed since; scrub again or use the right file.`,
    );
}
