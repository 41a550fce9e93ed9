import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { loadModelFile } from "../../converters/onnx/read.ts";
import { sha256 } from "../verify/verify.ts";
import type { Resource } from "./receipt.ts";

/** What a file was for; a receipt's dependencies are told apart by it. */
export type Role = "model" | "reference" | "gates" | "report" | "view";

/** A file by its name, not its place: receipts travel. */
export const resourceOf = (path: string, role: Role): Resource => ({
  name: basename(path),
  digest: { sha256: sha256(readFileSync(path)) },
  annotations: { role },
});

/** A model file and its external data. */
export function modelResources(path: string, role: Role): readonly Resource[] {
  const { bytes, sideFiles } = loadModelFile(path);
  const files: readonly (readonly [string, Uint8Array])[] = [[basename(path), bytes], ...(sideFiles ?? [])];
  return files.map(([name, data]) => ({ name, digest: { sha256: sha256(data) }, annotations: { role } }));
}
