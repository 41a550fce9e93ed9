import type { Command } from "commander";
import { elementCount } from "../../converters/dims.ts";
import type { Examination } from "../../converters/examine.ts";
import type { Batching } from "../../converters/import/model.ts";
import type { OnnxValueInfo } from "../../converters/onnx/model.ts";
import type { InspectDocument } from "../case/inspect.ts";
import { asFlag, withHint } from "./hints.ts";
import { type Io, printJson, tidyBeside } from "./io.ts";

interface InspectFlags {
  readonly json?: boolean;
  readonly logits?: string;
  readonly train?: readonly string[];
  readonly freeze?: readonly string[];
}

const collect = (value: string, list: string[]) => [...list, value];

export const defineInspect = (command: Command, io: Io): Command =>
  command
    .option("--logits <name>", "value name of the logits")
    .option("--train <glob>", "show what this would train (repeatable)", collect, [])
    .option("--freeze <glob>", "show what this would freeze (repeatable)", collect, [])
    .option("--json", "print one JSON document on stdout")
    .action((model: string, flags: InspectFlags) => inspect(model, flags, command, io));

/** Samples that the memory estimate is printed for. */
const BATCH = 128;

const megabytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(bytes < 100 * 2 ** 20 ? 1 : 0)} MiB`;
const MARKS = { trainable: "✓", frozen: "·", refused: "✗" } as const;

const describeValue = ({ name, dtype, dims }: OnnxValueInfo) =>
  `${name} ${dtype ?? "?"} ${dims ? `[${dims.map((d) => d ?? "?").join(", ")}]` : "(shape not given)"}`;

function describeBatching(batching: Batching): string {
  if (batching.kind === "free") return "any batch size";
  if (batching.kind === "rebatched")
    return `the file says ${batching.size}; trained at any batch size, as the graph allows it`;
  return `${batching.size} at a time, larger batches are cut into pieces: ${batching.because}`;
}

async function table(path: string, document: InspectDocument, found: Examination): Promise<string> {
  const { default: Table } = await import("cli-table3");
  const plain = {
    style: { head: [], border: [] },
    chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" },
  };
  const { head, weights, memory } = document;
  const lines = [
    `${path}: ${document.producer || "producer not given"}, IR ${document.irVersion}, opset ${Object.entries(
      document.opsets,
    )
      .map(([domain, version]) => `${domain} ${version}`)
      .join(", ")}`,
    ...found.inputs.map((value) => `input   ${describeValue(value)}`),
    ...found.outputs.map((value) => `output  ${describeValue(value)}`),
  ];
  if (found.batching) lines.push(`batch   ${describeBatching(found.batching)}`);
  if (head) {
    const shape = document.logitsShape ? ` [${document.logitsShape.join(", ")}]` : "";
    lines.push(`logits  ${head.logits}${shape}, behind output "${head.output}" (${head.outputKind})`);
  } else if (document.candidates.length > 1)
    lines.push(
      `logits  one of: ${document.candidates.map(({ logits }) => logits).join(", ")} (--logits NAME)`,
    );
  if (document.parameters.length > 0) {
    const parameters = new Table({
      ...plain,
      head: ["", "weight", "type", "shape", "elements", "frozen because"],
    });
    for (const p of document.parameters)
      parameters.push([
        p.trainable ? MARKS.trainable : MARKS.frozen,
        p.name,
        p.dtype,
        `[${p.dims.join(", ")}]`,
        String(elementCount(p.dims)),
        asFlag(p.frozenBecause ?? ""),
      ]);
    lines.push(parameters.toString());
    lines.push(
      `${weights.trainableTensors} of ${weights.tensors} tensors are trained: ${weights.trainableElements} of ${weights.elements} weights`,
    );
  }
  if (document.operators.length > 0) {
    const operators = new Table({ ...plain, head: ["", "operator", "nodes", "because"] });
    for (const use of document.operators)
      operators.push([
        MARKS[use.mark],
        use.domain === "ai.onnx" ? use.operator : `${use.domain}.${use.operator}`,
        String(use.count),
        use.because ?? "",
      ]);
    lines.push(operators.toString());
  }
  if (memory)
    lines.push(
      memory.bytesPerSample === null
        ? `memory  about ${megabytes(memory.weightsBytes)} for the weights; the activations depend on open dimensions`
        : `memory  about ${megabytes(memory.weightsBytes)} for the weights and ${megabytes(memory.bytesPerSample)} a sample: ${megabytes(memory.weightsBytes + BATCH * memory.bytesPerSample)} at batch ${BATCH}`,
    );
  if (document.suggestedTrain.length > 0)
    lines.push(
      `try first, as the model is large: ${document.suggestedTrain.map((name) => `--train '${name}'`).join(" ")}`,
    );
  lines.push(document.refusal ? `refused: ${document.refusal.message}` : "can be trained");
  return `${lines.join("\n")}\n`;
}

/**
 * `onnx-unlearn inspect`: exit 3 with the reason where a model cannot be trained, the document printed all
 * the same.
 */
async function inspect(
  path: string,
  { json, ...options }: InspectFlags,
  command: Command,
  io: Io,
): Promise<void> {
  await tidyBeside(io, path);
  const { inspectModel } = await import("../case/inspect.ts");
  const { document: plain, found } = await inspectModel(path, options);
  const { refusal } = plain;
  const document = refusal
    ? { ...plain, refusal: { ...refusal, message: withHint(refusal, command) } }
    : plain;
  if (!document.trainable) io.exitWith?.(3);
  if (json) printJson(io, document);
  else if (found && "head" in document) io.out(await table(path, document, found));
  else io.out(`refused: ${document.refusal?.message}\n`);
}
