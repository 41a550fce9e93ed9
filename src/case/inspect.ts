import { elementCount } from "../../converters/dims.ts";
import { notTrainable, OnnxUnlearnError } from "../../converters/errors.ts";
import type { Examination, Refusal } from "../../converters/examine.ts";
import { examine, saysMore } from "../../converters/examine.ts";
import type { ImportOptions } from "../../converters/import/model.ts";
import type { OnnxModel } from "../../converters/onnx/model.ts";
import { loadModelFile, readModel } from "../../converters/onnx/read.ts";
import { openFile } from "../engine/session.ts";

const total = (parameters: readonly { readonly dims: readonly number[] }[]) =>
  parameters.reduce((sum, { dims }) => sum + elementCount(dims), 0);

/** What the document says; stable field names. */
function documentOf(source: OnnxModel, found: Examination, refusal: Refusal | undefined) {
  const parameters = found.model?.parameters ?? [];
  const trainable = parameters.filter((p) => p.trainable);
  const rest = found.logitsShape?.slice(1).filter((d) => d !== 1) ?? [];
  return {
    trainable: refusal === undefined,
    refusal: refusal ?? null,
    producer: source.producer,
    irVersion: source.irVersion,
    opsets: Object.fromEntries([...source.opsets].map(([domain, v]) => [domain || "ai.onnx", v])),
    inputs: found.inputs.map(({ name, dtype, dims }) => ({
      name,
      dtype: dtype ?? null,
      dims: dims?.map((d) => d ?? null) ?? null,
    })),
    outputs: found.outputs.map(({ name, dtype, dims }) => ({
      name,
      dtype: dtype ?? null,
      dims: dims?.map((d) => d ?? null) ?? null,
    })),
    fixedBatch: found.model?.fixedBatch ?? null,
    batching: found.batching ?? null,
    head: found.model?.head ?? null,
    /** Classes of the logits; null where their shape is open or not [batch, classes]. */
    classes: found.logitsShape === undefined || rest.length > 1 ? null : (rest[0] ?? 1),
    logitsShape: found.logitsShape ?? null,
    candidates: found.candidates.map(({ logits, output, outputKind }) => ({ logits, output, outputKind })),
    weights: {
      tensors: parameters.length,
      trainableTensors: trainable.length,
      elements: total(parameters),
      trainableElements: total(trainable),
    },
    parameters: parameters.map(({ name, dims, dtype, trainable: trains, frozenBecause }) => ({
      name,
      dims,
      dtype,
      trainable: trains,
      frozenBecause: frozenBecause ?? null,
    })),
    operators: found.operators.map((use) => ({ ...use, because: use.because ?? null })),
    memory: found.memory
      ? { weightsBytes: found.memory.weights, bytesPerSample: found.memory.perSample ?? null }
      : null,
    suggestedTrain: found.suggestedTrain,
  };
}
/** What a model file is and what of it can be trained; `trainable` says whether it can be unlearned. */
export type InspectDocument = ReturnType<typeof documentOf>;

/** Why a file cannot be read at all. */
export interface UnreadableDocument {
  readonly trainable: false;
  readonly refusal: Refusal;
}

const refusalOf = ({ code, message }: OnnxUnlearnError): Refusal => ({ code, message });

/** ONNX Runtime's refusal of a file, if it refuses. */
async function runtimeRefusal(source: OnnxModel): Promise<Refusal | undefined> {
  try {
    await (await openFile(source, { threads: 1 })).release();
    return undefined;
  } catch (error) {
    return refusalOf(notTrainable("RUNTIME_REFUSED", (error as Error).message));
  }
}

/** The document and what it was made from; `found` is undefined where the file cannot be read. */
export async function inspectModel(input: string | Uint8Array, options: ImportOptions = {}) {
  let source: OnnxModel;
  try {
    source = typeof input === "string" ? loadModelFile(input) : readModel(input);
  } catch (error) {
    if (!(error instanceof OnnxUnlearnError) || error.exitCode !== 3) throw error;
    const document: UnreadableDocument = { trainable: false, refusal: refusalOf(error) };
    return { document, found: undefined };
  }
  const loads = await runtimeRefusal(source);
  const found = examine(source, options);
  const own = found.refusal && saysMore(found.refusal) ? found.refusal : undefined;
  return { document: documentOf(source, found, own ?? loads ?? found.refusal), found };
}

/**
 * Everything a model holds: inputs, outputs, logits, weights, operators, memory; `refusal` says why it cannot
 * be trained, if so.
 * @param input a path, or the bytes of a file
 * @throws badInput (exit 2) where it is no ONNX file
 */
export const inspect = async (
  input: string | Uint8Array,
  options: ImportOptions = {},
): Promise<InspectDocument | UnreadableDocument> => (await inspectModel(input, options)).document;
