import type { ImportOptions, TrainableModel } from "../../converters/import/model.ts";
import { importModel } from "../../converters/importer.ts";
import type { OnnxModel } from "../../converters/onnx/model.ts";
import { loadModelFile, readModel } from "../../converters/onnx/read.ts";

/**
 * What a model may be given as: a path, the bytes of an ONNX file without external data, or a model that is
 * open already.
 */
export type ModelInput = string | Uint8Array | OnnxModel | TrainableModel;

const isOpen = (input: OnnxModel | TrainableModel): input is TrainableModel => "apply" in input;

/**
 * Reads and imports a model once; what is open already is handed back.
 * @throws badInput (exit 2) for a damaged file, notTrainable (exit 3) naming node, operator and reason
 */
export function openModel(input: ModelInput, options: ImportOptions = {}): TrainableModel {
  if (typeof input === "string") return importModel(loadModelFile(input), options);
  if (input instanceof Uint8Array) return importModel(readModel(input), options);
  return isOpen(input) ? input : importModel(input, options);
}

/**
 * A retrained model: only measured, so which of its weights could be trained does not matter and may not
 * fail.
 * @throws as {@link openModel}
 */
export const openReference = (input: ModelInput, { logits }: Pick<ImportOptions, "logits">): TrainableModel =>
  openModel(input, logits === undefined ? {} : { logits });
