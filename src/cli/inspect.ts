import { importModel } from "../../converters/import/graph.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import type { Io } from "./main.ts";

/** `onnx-unlearn inspect`: inputs, logits and weights; exit 3 with the reason where the model cannot be trained. */
export async function inspect(
  path: string,
  { json, logits }: { json?: boolean; logits?: string },
  io: Io,
): Promise<void> {
  const source = loadModelFile(path);
  const model = importModel(source, logits === undefined ? {} : { logits });
  const operators: Record<string, number> = {};
  for (const { opType } of source.graph.nodes) operators[opType] = (operators[opType] ?? 0) + 1;
  const document = {
    producer: source.producer,
    irVersion: source.irVersion,
    opsets: Object.fromEntries([...source.opsets].map(([domain, v]) => [domain || "ai.onnx", v])),
    inputs: model.inputs,
    fixedBatch: model.fixedBatch ?? null,
    head: model.head,
    operators,
    parameters: model.parameters.map(({ name, dims, dtype, trainable, frozenBecause }) => ({
      name,
      dims,
      dtype,
      trainable,
      frozenBecause: frozenBecause ?? null,
    })),
  };
  if (json) {
    io.out(`${JSON.stringify(document)}\n`);
    return;
  }
  io.out(
    `${path}: ${document.producer}, IR ${document.irVersion}, logits "${model.head.logits}" (output "${model.head.output}": ${model.head.outputKind})\n`,
  );
  for (const { name, dims, dtype } of model.inputs)
    io.out(`input ${name}: ${dtype} [${dims?.map((d) => d ?? "?").join(", ")}]\n`);
  for (const p of document.parameters)
    io.out(
      `${p.trainable ? "✓" : "·"} ${p.name} ${p.dtype} [${p.dims.join(", ")}]${p.frozenBecause ? ` frozen: ${p.frozenBecause}` : ""}\n`,
    );
}
