import type { Command } from "commander";
import type { Io } from "./io.ts";

export const registerInspect = (root: Command, io: Io): Command =>
  root
    .command("inspect")
    .description("what a model holds and whether it can be trained")
    .argument("<model>")
    .option("--logits <name>", "value name of the logits")
    .option("--json", "print one JSON document on stdout")
    .action((model: string, options: { json?: boolean; logits?: string }) => inspect(model, options, io));

/** `onnx-unlearn inspect`: inputs, logits and weights; exit 3 with the reason where the model cannot be trained. */
async function inspect(
  path: string,
  { json, logits }: { json?: boolean; logits?: string },
  io: Io,
): Promise<void> {
  const [{ importModel }, { loadModelFile }] = await Promise.all([
    import("../../converters/import/graph.ts"),
    import("../../converters/onnx/read.ts"),
  ]);
  const source = loadModelFile(path);
  const model = importModel(source, { logits });
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
