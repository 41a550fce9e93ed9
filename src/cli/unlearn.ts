import type { Command } from "commander";
import type { UnlearnDocument } from "../case/unlearn.ts";
import type { UnlearnRequest } from "../release/unlearn.ts";
import { OPTION_NAMES, requestOptions, type SpelledOptions } from "../unlearn/option-table.ts";
import { type Io, printJson, printWarnings } from "./io.ts";
import {
  collectNamed,
  MEASURING,
  type SetFlags,
  setPaths,
  type ViewFlags,
  withMeasuring,
  withOptions,
  withSets,
  withViews,
} from "./options.ts";

interface UnlearnFlags extends SetFlags, ViewFlags, SpelledOptions<"flag"> {
  readonly model: string;
  readonly reference?: string;
  readonly out: string;
  readonly also: Readonly<Record<string, string>>;
  readonly report?: string;
  readonly json?: boolean;
  readonly profile?: boolean;
}

/** Files, then every option of the table, then what is printed. */
const withFlags = (command: Command): Command => {
  const files = withViews(
    withMeasuring(
      withSets(command.requiredOption("--model <file>", "the shipped model; never touched")).requiredOption(
        "--out <file>",
        "the scrubbed model",
      ),
    ),
  )
    .option("--reference <file>", "a model retrained without the forget set; only compared with")
    .option("--also <name=file>", "a further set, measured before and after (repeatable)", collectNamed, {});
  const shared: readonly string[] = ["loss", ...MEASURING];
  return withOptions(
    files,
    OPTION_NAMES.filter((name) => !shared.includes(name)),
  )
    .option("--report <file>", "write the JSON report to a file")
    .option("--json", "print one JSON document on stdout")
    .option("--profile", "say on stderr where the time of a training step goes, by ONNX operator");
};

export const defineUnlearn = (command: Command, io: Io): Command =>
  withFlags(command).action(async (flags: UnlearnFlags) => {
    const document = await runUnlearn(requestOf(flags), io, flags.profile);
    if (flags.json) printJson(io, document);
    else await printUnlearn(document, flags.out, io);
    if (document.gates?.verdict === "failed") io.exitWith?.(1);
  });

const requestOf = (flags: UnlearnFlags): UnlearnRequest => ({
  ...setPaths(flags),
  ...requestOptions(flags, "flag"),
  model: flags.model,
  out: flags.out,
  reference: flags.reference,
  also: flags.also,
  gates: flags.gates,
  report: flags.report,
  html: flags.html,
  markdown: flags.markdown,
  junit: flags.junit,
  showSamples: flags.showSamples,
});

/** Runs the road with progress on stderr. */
export async function runUnlearn(request: UnlearnRequest, io: Io, profile = false): Promise<UnlearnDocument> {
  const [{ unlearn }, { progressHooks }, { profileTable }] = await Promise.all([
    import("../release/unlearn.ts"),
    import("../report/progress.ts"),
    import("../report/terminal.ts"),
  ]);
  let table: string | undefined;
  const document = await unlearn(request, {
    ...(await progressHooks(io)),
    signal: io.signal,
    ...(profile
      ? {
          onProfile: (rows) => {
            table = profileTable(rows);
          },
        }
      : {}),
  });
  printWarnings(io, document);
  // After the progress lines are through.
  if (table !== undefined) io.err(`${table}\n`);
  else if (profile) io.err("--profile: only engine onnxruntime measures its operators.\n");
  return document;
}

export async function printUnlearn(document: UnlearnDocument, out: string, io: Io): Promise<void> {
  const { gatesText, guardText, metricsTable } = await import("../report/terminal.ts");
  const { changedTensors, changedBytes, parity } = document.export;
  const { reference, rejected } = document;
  io.out(
    `${metricsTable([
      { title: "before", metrics: document.before, gap: reference?.gap.before },
      { title: "after", metrics: document.after, gap: reference?.gap.after },
      ...(reference ? [{ title: "reference", metrics: reference.metrics }] : []),
    ])}\n`,
  );
  const { guard } = document.budget;
  if (guard) io.out(`${guardText(guard)}\n`);
  io.out(
    `${rejected ?? out}: ${changedTensors.length} tensors changed (${changedBytes} bytes); largest deviation from the trained graph ${parity.maxAbsDiff ?? "not measured"} on ${parity.samples} samples; ${document.timing.samplesPerSecond.toFixed(0)} samples/s.\n`,
  );
  if (document.gates) io.out(`${gatesText(document.gates)}\n`);
  if (rejected !== undefined)
    io.out(`A gate failed, so nothing was written to ${out}; the new file lies at ${rejected}.\n`);
}
