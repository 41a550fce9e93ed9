import { badInput, gateFailed } from "../../converters/errors.ts";
import type { Dataset } from "../data/types.ts";
import type { OperatorTime } from "../engine/profile.ts";
import type { Draw } from "../tasks/task.ts";
import { drawing } from "./batches.ts";
import { methodOf } from "./chosen.ts";
import type { WeightArrays } from "./forward.ts";
import { FIRST_RATE, searchRate } from "./learning-rate.ts";
import { measure } from "./metrics.ts";
import { type TrainableGraph, trainableOf } from "./model.ts";
import { checkOptions } from "./options.ts";
import { learningRateAt } from "./schedule.ts";
import { openSession, type Session } from "./session.ts";
import { startOfDual } from "./step.ts";
import { isHeld, supervise } from "./supervision.ts";
import type { LedgerEntry, TrainingProgress, TrainingResult, UnlearnOptions } from "./types.ts";
import { sampleOf, startWatching, type Watch, type Watching } from "./watch.ts";

/** Callbacks during a run, and a signal to stop it. */
export interface TrainHooks {
  readonly onStep?: ((progress: TrainingProgress) => void) | undefined;
  /** Called at the end with the time of a step per operator. */
  readonly onProfile?: ((rows: readonly OperatorTime[]) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface TrainRequest {
  readonly model: TrainableGraph;
  readonly forget: Dataset;
  readonly retain: Dataset;
  readonly options: UnlearnOptions;
  /** Data and conditions that the run is checked against while it trains. */
  readonly watch?: Watch | undefined;
  readonly hooks?: TrainHooks;
}

/**
 * Runs one unlearning method over seeded batches (docs/method.md, "Batches and gradient accumulation") and
 * returns the trained weights. With a watch it measures validation data every few steps. If the watch has a
 * budget or limits, the run collects the best states within them; after steps that break them it goes back to
 * an earlier state and continues with a smaller learning rate (docs/method.md, "Budgets"). The step is
 * compiled once per run: a batch that is not full is padded with samples that both masks exclude. The same
 * seed, threads, versions and kind of CPU give the same bytes.
 * @throws OnnxUnlearnError DIVERGED (exit 1) where a loss is no longer finite, INTERRUPTED (exit 130) on
 *   abort, LR_AUTO, UNKNOWN_OPTION, OPTION_RANGE, OBJECTIVE_FIXED, OBJECTIVE_LOSS, INPUT_MISSING,
 *   INPUT_SHAPE, NO_SAMPLES, NOTHING_TO_TRAIN, LABEL_RANGE, TARGETS_MISSING, TARGETS_SHAPE (exit 2)
 */
export async function train(request: TrainRequest): Promise<TrainingResult> {
  const started = performance.now();
  const { options, watch, hooks = {} } = request;
  const seconds = () => (performance.now() - started) / 1000;
  checkOptions(options);
  if (options.lr === "auto" && !watch)
    throw badInput(
      "LR_AUTO",
      "The learning rate auto needs validation data to look at; give a number or a watch.",
    );
  if (options.epochs === 0) return { ...untrained(request), seconds: seconds() };
  const draws = drawing(options.seed);
  const draw = draws();
  const { signal, onProfile } = hooks;
  const session = await openSession({ ...request, draw, drawing: draws, signal, onProfile });
  try {
    // Separate draws, so that watching does not change the order of training samples.
    const watchDraw = drawing(options.seed ^ 0x5eed)();
    const watched = watch && { watch, watching: await startOfWatch(request, watch, session, watchDraw) };
    const plan = session.plan(draw);
    const perEpoch = Array.from({ length: options.epochs }, (_, epoch) => plan.count(epoch));
    const steps = perEpoch.reduce((a, b) => a + b, 0);
    const lr =
      options.lr !== "auto"
        ? options.lr
        : watch!.budget
          ? // With a budget the run adapts the rate itself; a range test would not respect the budget.
            FIRST_RATE
          : await ratedByTest(request, session, watched!.watching, steps, watchDraw);
    const supervision = supervise(session, options, steps, watched);
    const run = await takeSteps(request, { session, plan, draw, steps, lr, supervision });
    const final = await session.read();
    const weights = new Map(Object.entries(session.weightsOf(final)));
    if (!isHeld(watch)) refuseDiverged(weights, steps);
    return {
      weights,
      ledger: run.ledger,
      lambda: session.lambdaOf(final) ?? run.ledger.at(-1)?.lambda ?? 0,
      steps: run.ledger.length,
      seconds: seconds(),
      compileSeconds: session.compileSeconds,
      samplesPerSecond: run.samplesPerSecond,
      lr,
      checks: supervision.checks,
      candidates: isHeld(watch) ? supervision.candidates : [{ step: run.ledger.length, weights }],
    };
  } finally {
    await session.dispose();
  }
}

/** The result of a run with 0 epochs: the weights as they are. */
function untrained({ model, options, watch }: TrainRequest): TrainingResult {
  const weights = new Map(trainableOf(model).map(({ name, data }) => [name, data.slice()]));
  return {
    weights,
    ledger: [],
    lambda: startOfDual(methodOf(options.method), options)["lambda"] ?? 0,
    steps: 0,
    seconds: 0,
    compileSeconds: 0,
    samplesPerSecond: 0,
    lr: options.lr === "auto" ? 0 : options.lr,
    checks: [],
    candidates: watch?.budget ? [] : [{ step: 0, weights }],
  };
}

const startOfWatch = async (
  { forget, retain }: TrainRequest,
  watch: Watch,
  session: Session,
  draw: Draw,
): Promise<Watching> =>
  startWatching({
    ...{ watch, trained: forget, retain, draw, start: session.start },
    forward: await session.forward(),
  });

/** The learning rate that the range test finds. */
async function ratedByTest(
  { retain, options }: TrainRequest,
  session: Session,
  watching: Watching,
  steps: number,
  draw: Draw,
): Promise<number> {
  const sample = sampleOf(retain, draw);
  const forward = await session.forward();
  const measured = async (weights: WeightArrays) => {
    const { forgetAccuracy, validationAccuracy } = await watching.check(0, weights);
    const retained = measure(await forward.logits(weights, retain, sample), retain, sample);
    return { forget: forgetAccuracy, validation: validationAccuracy, retain: retained.accuracy };
  };
  const { target, goal } = watching;
  return searchRate(session, measured, drawing(options.seed), { ...options, steps, target, goal });
}

/** What the steps of a run need. */
interface Run {
  readonly session: Session;
  readonly plan: ReturnType<Session["plan"]>;
  readonly draw: Draw;
  readonly steps: number;
  readonly lr: number;
  readonly supervision: ReturnType<typeof supervise>;
}

/** Takes all steps of a run, or fewer if its supervision ends it. */
async function takeSteps(
  { options, hooks = {}, watch }: TrainRequest,
  { session, plan, draw, steps, lr, supervision }: Run,
): Promise<{ readonly ledger: readonly LedgerEntry[]; readonly samplesPerSecond: number }> {
  const started = performance.now();
  const { epochs } = options;
  const ledger: LedgerEntry[] = [];
  let samplesSeen = 0;
  let ended = false;
  for (let epoch = 0; epoch < epochs && !ended; epoch++) {
    const forgetTargets = session.forgetTargets(draw);
    for (const samples of plan.epoch(epoch)) {
      const done = ledger.length;
      const epsilon = supervision.epsilon(done);
      const { finite, ...losses } = await session.step(samples, forgetTargets, {
        lr: supervision.rate() * learningRateAt(lr, options, done, steps),
        epsilon,
        progress: done / steps,
      });
      if (!finite && !isHeld(watch))
        throw gateFailed(
          "DIVERGED",
          `A loss is no longer finite at step ${done + 1} of ${steps} (method ${methodOf(options.method).name}, lr ${lr}); choose a lower learning rate.`,
        );
      samplesSeen += samples.length;
      const { figures, ends } = await supervision.after(done + 1, finite);
      const entry: LedgerEntry = {
        step: done + 1,
        ...losses,
        ...(finite ? {} : { forgetLoss: null, retainLoss: null, batchRise: null, lambda: 0 }),
        validationRise: figures && Number.isFinite(figures.spent) ? figures.spent : null,
        epsilon,
      };
      ledger.push(entry);
      hooks.onStep?.({ step: done + 1, steps, epoch: epoch + 1, epochs, entry });
      ended = ends;
      if (ended) break;
    }
  }
  return { ledger, samplesPerSecond: samplesSeen / ((performance.now() - started) / 1000) };
}

/** @throws gateFailed DIVERGED naming the weight */
function refuseDiverged(weights: ReadonlyMap<string, Float32Array>, steps: number): void {
  for (const [name, values] of weights)
    if (!values.every(Number.isFinite))
      throw gateFailed(
        "DIVERGED",
        `The weight "${name}" is no longer finite after step ${steps} of ${steps}; choose a lower learning rate.`,
      );
}
