import { resolve } from "node:path";
import type { OnnxModel } from "../onnx/model.ts";
import { claimOutputs, modelFiles } from "./outputs.ts";
import { type PatchResult, patchModel } from "./patch.ts";
import { commitModel } from "./whole.ts";

/** How an export treats existing files. */
export interface ExportOptions {
  /** Replace existing files; default false. */
  readonly force?: boolean;
}

/**
 * Write the model with new weights to `out`, whole or not at all. External data that changed appear under names of
 * their content, unchanged ones under their own; the model file comes last. On failure nothing new remains and what
 * was there before is untouched.
 * @param weights initializer name or Constant output name → float32 values, row-major, as many as the tensor has
 * @throws badInput (exit 2) "OUTPUT_IS_INPUT", "OUTPUT_EXISTS", "OUTPUT_FOLDER", "OUTPUT_FAILED", "UNKNOWN_TENSOR",
 * "NOT_A_FLOAT_TENSOR" or "WEIGHT_SIZE"; verificationFailed (exit 4) "WEIGHT_NOT_FINITE"
 */
export async function exportModel(
  model: OnnxModel,
  weights: ReadonlyMap<string, Float32Array>,
  out: string,
  options: ExportOptions = {},
): Promise<PatchResult> {
  const result = patchModel(model, weights);
  await writeModel(model, result, out, options);
  return result;
}

/**
 * Writes a patched model, see {@link exportModel}.
 * @param model the model that was patched
 */
export async function writeModel(
  model: OnnxModel,
  result: Pick<PatchResult, "bytes" | "sideFiles">,
  out: string,
  { force }: ExportOptions = {},
): Promise<void> {
  const inputs = modelFiles("the input model", model);
  claimOutputs({ inputs, outputs: [{ role: "the output", path: out }], force, probe: false });
  commitModel(resolve(out), result.bytes, result.sideFiles);
}
