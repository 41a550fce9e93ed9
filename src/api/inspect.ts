import type { Examination, Refusal } from "../../converters/examine.ts";
import type { OnnxModel } from "../../converters/onnx/model.ts";

export const product = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1);
const total = (parameters: readonly { readonly dims: readonly number[] }[]) =>
  parameters.reduce((sum, { dims }) => sum + product(dims), 0);

/** What the document says; stable field names. */
export function documentOf(source: OnnxModel, found: Examination, refusal: Refusal | undefined) {
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
export type InspectDocument = ReturnType<typeof documentOf>;
