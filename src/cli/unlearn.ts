import type { Command } from "commander";
import type { UnlearnDocument } from "../case/unlearn.ts";
import type { EngineName } from "../engine/engine.ts";
import type { UnlearnRequest } from "../release/unlearn.ts";
import {
  EPSILON_SCHEDULES,
  type EpsilonSchedule,
  FORGET_OBJECTIVES,
  type ForgetObjectiveName,
  GOALS,
  type Goal,
  LEARNING_RATE_SCHEDULES,
  type LearningRateSchedule,
  METHODS,
  type Method,
  OPTIMIZERS,
  type OptimizerName,
} from "../unlearn/types.ts";
import { Option } from "./commander.ts";
import { type Io, printJson } from "./io.ts";
import {
  collect,
  collectNamed,
  count,
  number,
  positive,
  positiveCount,
  rate,
  type SetFlags,
  setPaths,
  setting,
  type ViewFlags,
  withMeasuring,
  withSets,
  withViews,
} from "./options.ts";

interface UnlearnFlags extends SetFlags, ViewFlags {
  readonly model: string;
  readonly reference?: string;
  readonly out: string;
  readonly method?: Method;
  readonly epsilon: number;
  readonly epsilonSchedule?: EpsilonSchedule;
  readonly dual: "adam" | "ascent";
  readonly beta?: number;
  readonly lambda?: number;
  readonly objective?: ForgetObjectiveName;
  readonly optimizer?: OptimizerName;
  readonly momentum?: number;
  readonly weightDecay?: number;
  readonly schedule?: LearningRateSchedule;
  readonly warmup?: number;
  readonly clipNorm?: number;
  readonly saliency?: number;
  readonly set: Readonly<Record<string, number>>;
  readonly budget?: string;
  readonly minForgetting?: string;
  readonly goal?: Goal;
  readonly also: Readonly<Record<string, string>>;
  readonly limit: Readonly<Record<string, string>>;
  readonly stopWhen: readonly string[];
  readonly epochs?: number;
  readonly lr?: number | "auto";
  readonly batchSize: number;
  readonly seed: number;
  readonly threads?: number;
  readonly train: readonly string[];
  readonly freeze: readonly string[];
  readonly logits?: string;
  readonly engine: EngineName;
  readonly report?: string;
  readonly allowOverlap?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly profile?: boolean;
}

export const defineUnlearn = (command: Command, io: Io): Command =>
  withViews(
    withMeasuring(
      withSets(command.requiredOption("--model <file>", "the shipped model; never touched")).requiredOption(
        "--out <file>",
        "the scrubbed model",
      ),
    ),
  )
    .option("--reference <file>", "a model retrained without the forget set; only compared with")
    .addOption(
      new Option("--method <name>", "how (default: eupmu; eupmu-fast with --budget)").choices(METHODS),
    )
    .option(
      "--budget <amount>",
      "largest loss of utility on validation data: 0.5pp or 0.02nats; no other number needs tuning",
    )
    .option(
      "--min-forgetting <amount>",
      "an export must forget at least so much: 1pp or 0.01nats (default: 1pp)",
    )
    .addOption(
      new Option("--goal <name>", "what forgotten samples should look like to the model").choices(GOALS),
    )
    .option("--also <name=file>", "a further set, measured before and after (repeatable)", collectNamed, {})
    .option("--limit <name=points>", "how far its accuracy may change: a=+1pp (repeatable)", collectNamed, {})
    .option("--stop-when <condition>", "forgetAccuracy<=validationAccuracy (repeatable)", collect, [])
    .option("--epsilon <number>", "ε_t per step, log-ratio units of the utility loss", number, -0.01)
    .addOption(
      new Option("--epsilon-schedule <name>", "how ε_t goes from --epsilon to 0").choices(EPSILON_SCHEDULES),
    )
    .addOption(new Option("--dual <rule>", "how λ moves").choices(["adam", "ascent"]).default("adam"))
    .option("--beta <number>", "step size of λ", positive)
    .option("--lambda <number>", "λ at the start", number)
    .addOption(
      new Option("--objective <name>", "what is minimised on the forget set").choices(FORGET_OBJECTIVES),
    )
    .addOption(
      new Option("--optimizer <name>", "(default: sgd; adamw where --budget finds the rate)").choices(
        OPTIMIZERS,
      ),
    )
    .option("--momentum <number>", "of SGD", number)
    .option("--weight-decay <number>", "L2 of SGD, decoupled for AdamW", number)
    .addOption(new Option("--schedule <name>", "of the learning rate").choices(LEARNING_RATE_SCHEDULES))
    .option("--warmup <share>", "share of the run over which the learning rate rises", number)
    .option("--clip-norm <number>", "largest norm of all gradients together", positive)
    .option("--saliency <share>", "only this share of the weights may change, by forget gradient", positive)
    .option("--set <name=number>", "a setting of the method, such as alpha=0.5 (repeatable)", setting, {})
    .option(
      "--epochs <count>",
      "passes over the union of both sets; 0 exports without training (default: 5; 10 with --budget)",
      count,
    )
    .option(
      "--lr <number>",
      "learning rate, or auto: found on the way with --budget, else by a short range test (default: 0.001; auto with --budget)",
      rate,
    )
    .option("--batch-size <count>", "samples per step", positiveCount, 128)
    .option("--train <glob>", "train only these weights (repeatable)", collect, [])
    .option("--freeze <glob>", "never train these weights (repeatable)", collect, [])
    .addOption(
      new Option("--engine <name>").choices(["onnxruntime", "tensorflow", "cpu"]).default("onnxruntime"),
    )
    .option("--report <file>", "write the JSON report to a file")
    .option("--allow-overlap", "accept samples in both sets")
    .option("--force", "overwrite an existing output")
    .option("--json", "print one JSON document on stdout")
    .option("--profile", "say on stderr where the time of a training step goes, by ONNX operator")
    .action(async (flags: UnlearnFlags) => {
      const document = await runUnlearn(requestOf(flags), io, flags.profile);
      if (flags.json) printJson(io, document);
      else await printUnlearn(document, flags.out, io);
      if (document.gates?.verdict === "failed") io.exitWith?.(1);
    });

const requestOf = (flags: UnlearnFlags): UnlearnRequest => ({
  ...setPaths(flags),
  model: flags.model,
  out: flags.out,
  train: flags.train,
  freeze: flags.freeze,
  logits: flags.logits,
  force: flags.force,
  reference: flags.reference,
  allowOverlap: flags.allowOverlap,
  also: flags.also,
  budget: flags.budget,
  minForgetting: flags.minForgetting,
  goal: flags.goal,
  limits: flags.limit,
  stopWhen: flags.stopWhen,
  gates: flags.gates,
  report: flags.report,
  html: flags.html,
  markdown: flags.markdown,
  junit: flags.junit,
  showSamples: flags.showSamples,
  options: {
    ...(flags.method === undefined ? {} : { method: flags.method }),
    epsilon: flags.epsilon,
    epsilonSchedule: flags.epsilonSchedule,
    dual: flags.dual,
    ...(flags.beta === undefined ? {} : { beta: flags.beta }),
    lambda: flags.lambda,
    forgetObjective: flags.objective,
    loss: flags.loss,
    optimizer: flags.optimizer,
    ...(flags.momentum === undefined ? {} : { momentum: flags.momentum }),
    ...(flags.weightDecay === undefined ? {} : { weightDecay: flags.weightDecay }),
    schedule: flags.schedule,
    warmup: flags.warmup,
    clipNorm: flags.clipNorm,
    saliency: flags.saliency,
    settings: flags.set,
    ...(flags.epochs === undefined ? {} : { epochs: flags.epochs }),
    ...(flags.lr === undefined ? {} : { lr: flags.lr }),
    batchSize: flags.batchSize,
    seed: flags.seed,
    threads: flags.threads,
    engine: flags.engine,
  },
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
