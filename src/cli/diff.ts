import type { Command } from "commander";
import type { DiffDocument } from "../case/compare.ts";
import { type Io, printJson, printWarnings } from "./io.ts";
import {
  collectNamed,
  type MeasuringFlags,
  type SetFlags,
  setPaths,
  type ViewFlags,
  withMeasuring,
  withSets,
  withViews,
} from "./options.ts";

interface DiffFlags extends SetFlags, ViewFlags, MeasuringFlags {
  readonly reference?: string;
  readonly also: Readonly<Record<string, string>>;
  readonly shadow?: string;
  readonly relearn?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

export const defineDiff = (command: Command, io: Io): Command =>
  withViews(
    withMeasuring(withSets(command).option("--reference <file>", "a model retrained without the forget set")),
  )
    .option("--also <name=file>", "a further set, measured like the test set (repeatable)", collectNamed, {})
    .option("--shadow <folder>", "reference models for LiRA, U-LiRA and RMIA")
    .option("--relearn", "count the steps until the forget accuracy is back")
    .option("--force", "replace reports that exist")
    .option("--json", "print one JSON document on stdout")
    .action(async (before: string, after: string, flags: DiffFlags) => {
      const [{ diff }, { viewOutputs, writeViews }, { claim, inputFiles }, { loadModelFile }, { readGates }] =
        await Promise.all([
          import("../case/diff.ts"),
          import("../report/views.ts"),
          import("../case/inputs.ts"),
          import("../../converters/onnx/read.ts"),
          import("../gates/read.ts"),
        ]);
      const { also, shadow, logits, threads, seed } = flags;
      const outputs = viewOutputs(flags, flags.gates);
      const gates = flags.gates === undefined ? undefined : readGates(flags.gates);
      const models = {
        before: loadModelFile(before),
        after: loadModelFile(after),
        reference: flags.reference === undefined ? undefined : loadModelFile(flags.reference),
      };
      const inputs = inputFiles({
        models: { BEFORE: models.before, AFTER: models.after, "the reference": models.reference },
        sets: { ...flags, also },
        shadow,
        gates: { given: flags.gates, read: gates },
      });
      claim({ inputs, outputs, force: flags.force }, (sentence) => io.err(`${sentence}\n`));
      const document = await diff(
        {
          ...setPaths(flags),
          ...{ ...models, also, shadow, gates, logits, threads, seed },
          showSamples: flags.showSamples,
          relearn: flags.relearn ? {} : undefined,
        },
        { signal: io.signal },
      );
      if (flags.gates ?? flags.html ?? flags.markdown ?? flags.junit) await writeViews(flags, document);
      printWarnings(io, document);
      if (flags.json) printJson(io, document);
      else await printDiff(document, io);
      if (document.gates?.verdict === "failed") io.exitWith?.(1);
    });

export async function printDiff(document: DiffDocument, io: Io): Promise<void> {
  const { gatesText, metricsTable } = await import("../report/terminal.ts");
  const { before, after, reference, structure } = document;
  io.out(
    `${metricsTable([
      { title: "before", metrics: before, gap: reference?.gap.before },
      { title: "after", metrics: after, gap: reference?.gap.after },
      ...(reference ? [{ title: "reference", metrics: reference.metrics }] : []),
    ])}\n`,
  );
  io.out(
    structure.identical
      ? `${structure.changedTensors.length} tensors changed; everything else in the file is identical.\n`
      : `The files differ in more than weights: ${structure.differences.slice(0, 3).join("; ")}.\n`,
  );
  io.out(`${document.leak.after.sentence}\n`);
  if (document.gates) io.out(`${gatesText(document.gates)}\n`);
}
