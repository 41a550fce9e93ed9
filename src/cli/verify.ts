import type { Command } from "commander";
import { FORMATS } from "../data/open-source.ts";
import { type Io, printJson, tidyBeside } from "./io.ts";
import { collectNamed, type PreprocessingFlags, positiveCount, withPreprocessing } from "./options.ts";

interface VerifyFlags extends PreprocessingFlags {
  readonly before: string;
  readonly report?: string;
  readonly samples?: string;
  readonly receipt?: string;
  readonly key?: string;
  readonly data: Readonly<Record<string, string>>;
  readonly logits?: string;
  readonly threads?: number;
  readonly json?: boolean;
}

export const defineVerify = (command: Command, io: Io): Command =>
  withPreprocessing(
    command
      .requiredOption("--before <file>", "the model it was made from")
      .option("--report <file>", "check that exactly the reported tensors changed, byte for byte")
      .option("--receipt <file>", "check the receipt of a pipeline run, and both files against it")
      .option("--key <file>", "the key under which the receipt names data")
      .option(
        "--data <name=file>",
        "hold a data file to the receipt: forget=f.npz (repeatable)",
        collectNamed,
        {},
      )
      .option(
        "--samples <file>",
        `check the outputs on these samples against the imported graph (${FORMATS})`,
      ),
  )
    .option("--logits <name>", "value name of the logits")
    .option("--threads <count>", "threads of ONNX Runtime", positiveCount)
    .option("--json", "print one JSON document on stdout")
    .action(async (after: string, flags: VerifyFlags) => {
      await tidyBeside(io, after);
      const { verify } = await import("../release/verify.ts");
      const { before, report, samples, receipt, key, data, logits, threads, scale, mean, std } = flags;
      const document = await verify(
        {
          ...{ after, before, report, samples, receipt, key, data, logits, threads },
          preprocessing: { scale, mean, std },
        },
        { signal: io.signal },
      );
      if (flags.json) return printJson(io, document);
      const { changedTensors, parity } = document;
      io.out(`${changedTensors.length} tensors changed; everything else is identical.\n`);
      for (const t of changedTensors)
        io.out(
          `${t.name} ${t.dtype}: ${t.changedElements} of ${t.elements} elements, at most by ${t.maxAbsChange.toPrecision(3)}\n`,
        );
      if (report) io.out(`Exactly what ${report} says.\n`);
      if (document.receipt) {
        const { verdict, reports, data } = document.receipt;
        io.out(`${receipt} is unchanged and fits both files; its verdict is "${verdict}".\n`);
        for (const name of reports) io.out(`${name} is the report it names.\n`);
        for (const name of data) io.out(`The ${name} data are the records it names.\n`);
      }
      if (parity)
        io.out(
          `Outputs on ${parity.samples} samples deviate from the imported graph by at most ${parity.maxAbsDiff ?? "(labels only, not measured)"}.\n`,
        );
    });
