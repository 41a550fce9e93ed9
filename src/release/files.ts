import { readFileSync } from "node:fs";
import { basename } from "node:path";
import type { OnnxModel } from "../../converters/onnx/model.ts";
import { sha256 } from "../case/verification.ts";
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
export function modelResources(
  { path, bytes, sideFiles }: Pick<OnnxModel, "path" | "bytes" | "sideFiles">,
  role: Role,
): readonly Resource[] {
  const name = basename(path ?? "model.onnx");
  const files: readonly (readonly [string, Uint8Array])[] = [[name, bytes], ...(sideFiles ?? [])];
  return files.map(([file, data]) => ({
    name: file,
    digest: { sha256: sha256(data) },
    annotations: { role },
  }));
}
