import type { Command } from "commander";
import type { DiffDocument } from "../api/diff.ts";
import type { UnlearnDocument, UnlearnHooks, UnlearnRequest } from "../api/unlearn.ts";
import { OPTION_NAMES, requestOptions, type SpelledOptions } from "../unlearn/option-table.ts";
import { type Io, printJson } from "./io.ts";
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
    const { report } = flags;
    const { refuseBadReport, writeReport } = await import("../report/write.ts");
    if (report !== undefined) {
      const { model, out, forget, retain, test, validation } = flags;
      const taken = [model, out, forget, retain, test, validation].filter((file) => file !== undefined);
      refuseBadReport(report, taken);
    }
    const { refuseBadViews } = await import("../report/views.ts");
    const { forget, retain, test, validation } = flags;
    const data = [forget, retain, test, validation, ...Object.values(flags.also)];
    refuseBadViews(flags, flags.gates, [flags.model, flags.out, report, ...data]);
    if (flags.gates !== undefined) {
      const { readGates } = await import("../gates/read.ts");
      // A mistake in it is known before the work.
      readGates(flags.gates);
    }
    const request = requestOf(flags);
    let compared: DiffDocument | undefined;
    const judge = async (file: string, { threads, seed }: UnlearnDocument) => {
      compared = await compareResult(request, flags, file, { threads, seed });
      return compared?.gates?.verdict !== "failed";
    };
    const unlearned = await runUnlearn(request, io, { profile: flags.profile, judge }).catch(
      async (error: unknown) => {
        const { BudgetError } = await import("../api/guard.ts");
        // A run that found nothing still says how close it came.
        if (report !== undefined && error instanceof BudgetError) {
          const { writeFailure } = await import("../report/write.ts");
          writeFailure(report, error);
        }
        throw error;
      },
    );
    const document = { ...unlearned, ...(compared?.gates ? { gates: compared.gates } : {}) };
    if (compared) {
      const { writeViews } = await import("../report/views.ts");
      await writeViews(flags, compared, unlearned);
    }
    if (report !== undefined) writeReport(report, document);
    if (flags.json) printJson(io, document);
    else await printUnlearn(document, flags.out, io);
    if (compared?.gates?.verdict === "failed") io.exitWith?.(1);
  });

/** The comparison behind gates and views, where one of them was asked for. */
async function compareResult(
  request: UnlearnRequest,
  { gates, html, markdown, junit, showSamples }: ViewFlags,
  after: string,
  measuring: Pick<UnlearnDocument, "threads" | "seed">,
): Promise<DiffDocument | undefined> {
  if ((gates ?? html ?? markdown ?? junit) === undefined) return undefined;
  const { diff } = await import("../api/diff.ts");
  return diff({ ...request, before: request.model, after, gates, showSamples, ...measuring });
}

const requestOf = (flags: UnlearnFlags): UnlearnRequest => ({
  ...setPaths(flags),
  ...requestOptions(flags, "flag"),
  model: flags.model,
  out: flags.out,
  reference: flags.reference,
  also: flags.also,
});

/** Runs the road with progress on stderr. */
export async function runUnlearn(
  request: UnlearnRequest,
  io: Io,
  {
    profile = false,
    judge,
  }: { readonly profile?: boolean | undefined; readonly judge?: UnlearnHooks["judge"] } = {},
): Promise<UnlearnDocument> {
  const [{ unlearn }, { progressHooks }, { profileTable }] = await Promise.all([
    import("../api/unlearn.ts"),
    import("../report/progress.ts"),
    import("../report/terminal.ts"),
  ]);
  let table: string | undefined;
  const document = await unlearn(request, {
    ...(await progressHooks(io)),
    signal: io.signal,
    ...(judge ? { judge } : {}),
    ...(profile
      ? {
          onProfile: (rows) => {
            table = profileTable(rows);
          },
        }
      : {}),
  });
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
