import type { Command } from "commander";
import { type Io, printJson, printWarnings, tidyBeside } from "./io.ts";
import { type MeasuringFlags, type SetFlags, setPaths, withMeasuring, withSets } from "./options.ts";

interface EvaluateFlags extends SetFlags, MeasuringFlags {
  readonly model: string;
  readonly reference?: string;
  readonly json?: boolean;
}

export const defineEvaluate = (command: Command, io: Io): Command =>
  withMeasuring(
    withSets(command.requiredOption("--model <file>")).option(
      "--reference <file>",
      "a model retrained without the forget set",
    ),
  )
    .option("--json", "print one JSON document on stdout")
    .action(async (flags: EvaluateFlags) => {
      const { evaluate } = await import("../case/evaluate.ts");
      const { model, reference, logits, threads, seed } = flags;
      await tidyBeside(io, model);
      const document = await evaluate(
        { ...setPaths(flags), model, reference, logits, threads, seed },
        { signal: io.signal },
      );
      printWarnings(io, document);
      if (flags.json) return printJson(io, document);
      const { metricsTable } = await import("../report/terminal.ts");
      io.out(
        `${metricsTable([
          { title: "model", metrics: document.metrics, gap: document.reference?.gap },
          ...(document.reference ? [{ title: "reference", metrics: document.reference.metrics }] : []),
        ])}\n`,
      );
    });
