import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { badInput } from "../../converters/errors.ts";
import type { OnnxModel } from "../../converters/onnx/model.ts";
import * as ort from "../runtime.ts";

/**
 * Opens an ONNX Runtime session on a model's own bytes. A model with external data is written to a temporary
 * folder together with them, which is deleted once it is loaded.
 * @throws badInput RUNTIME_REFUSED where ONNX Runtime cannot load the model
 */
export async function openFile(
  { bytes, sideFiles, path }: Pick<OnnxModel, "bytes" | "sideFiles" | "path">,
  { threads }: { readonly threads?: number | undefined } = {},
): Promise<ort.InferenceSession> {
  const options = {
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    logSeverityLevel: 4 as const,
  };
  const folder = sideFiles?.size ? mkdtempSync(join(tmpdir(), "onnx-unlearn-model-")) : undefined;
  try {
    if (folder === undefined) return await ort.InferenceSession.create(bytes, options);
    for (const [side, data] of sideFiles!) {
      mkdirSync(dirname(join(folder, side)), { recursive: true });
      writeFileSync(join(folder, side), data);
    }
    writeFileSync(join(folder, "model.onnx"), bytes);
    return await ort.InferenceSession.create(join(folder, "model.onnx"), options);
  } catch (error) {
    throw badInput(
      "RUNTIME_REFUSED",
      `ONNX Runtime cannot load ${path ?? "the model"}: ${(error as Error).message.split("\n")[0]}`,
    );
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}
