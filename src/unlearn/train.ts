import { badInput, gateFailed } from "../../converters/errors.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import type { Dataset } from "../data/types.ts";
import type { OperatorTime } from "../engine/profile.ts";
import { type Draw, drawing } from "./batches.ts";
import { budgetEpsilon } from "./budget.ts";
import type { WeightArrays } from "./forward.ts";
import { FIRST_RATE, searchRate } from "./learning-rate.ts";
import { methods } from "./methods/index.ts";
import { measure } from "./metrics.ts";
import { checkOptions } from "./options.ts";
import { startPacing } from "./pace.ts";
import { epsilonAt, learningRateAt } from "./schedule.ts";
import { openSession, type Session } from "./session.ts";
import type { Candidate, LedgerEntry, TrainingProgress, TrainingResult, UnlearnOptions } from "./types.ts";
import { type Check, forgetsMore, sampleOf, startWatching, type Watch } from "./watch.ts";

/** Looks at the watched sets per run. */
const LOOKS = 24;
/** States within the budget that are kept: rounding on export may break the budget of the last one. */
const KEPT = 4;

/**
 * Runs one unlearning method over seeded batches (METHOD section 3) and hands back the trained weights.
 * With a watch it looks at validation data every few steps; with a budget or limits there, it keeps the last states within them, and after a step
 * that broke them goes back to the last one and on with a smaller learning rate (METHOD section 6).
 * One compile per run: a batch that is not full is filled up with repeated samples that both masks leave out.
 * The same seed, threads, versions and CPU kind give the same bytes.
 * @throws OnnxUnlearnError DIVERGED (exit 1) where a loss is no longer finite, INTERRUPTED (exit 130) on abort,
 *   UNKNOWN_OPTION, OPTION_RANGE, OBJECTIVE_FIXED, OBJECTIVE_LOSS, INPUT_MISSING, INPUT_SHAPE, NO_SAMPLES, NOTHING_TO_TRAIN,
 *   LABEL_RANGE, TARGETS_MISSING, TARGETS_SHAPE (exit 2)
 */
export async function train(
  model: TrainableModel,
  forget: Dataset,
  retain: Dataset,
  options: UnlearnOptions,
  onProgress?: (progress: TrainingProgress) => void,
  signal?: AbortSignal,
  watch?: Watch,
  onProfile?: (rows: readonly OperatorTime[]) => void,
): Promise<TrainingResult> {
  const started = performance.now();
  checkOptions(options);
  if (options.lr === "auto" && !watch)
    throw badInput(
      "LR_AUTO",
      "The learning rate auto needs validation data to look at; give a number or a watch.",
    );
  if (options.epochs === 0) {
    const weights = new Map(
      model.parameters.filter((p) => p.trainable).map(({ name, data }) => [name, data.slice()]),
    );
    return {
      weights,
      ledger: [],
      lambda: methods[options.method].dual(options).lambda ?? 0,
      steps: 0,
      seconds: (performance.now() - started) / 1000,
      compileSeconds: 0,
      samplesPerSecond: 0,
      lr: options.lr === "auto" ? 0 : options.lr,
      checks: [],
      candidates: watch?.budget ? [] : [{ step: 0, weights }],
    };
  }
  const draws = drawing(options.seed);
  const draw = draws();
  const session = await openSession(model, forget, retain, options, draw, draws, signal, onProfile);
  try {
    const plan = session.plan(draw);
    const steps = Array.from({ length: options.epochs }, (_, epoch) => plan.count(epoch)).reduce(
      (a, b) => a + b,
      0,
    );
    // Draws of their own: what is watched does not change what is trained.
    const watchDraw = drawing(options.seed ^ 0x5eed)();
    const watching =
      watch &&
      (await startWatching(watch, forget, retain, await session.forward(), session.start, watchDraw));
    const budget = watch?.budget;
    // Under a budget the rate is found on the way; a range test has no line that a rate may not cross.
    const adaptive = options.lr === "auto" && budget !== undefined;
    const lr =
      options.lr !== "auto"
        ? options.lr
        : adaptive
          ? FIRST_RATE
          : await searchRate(session, await looking(session, watching!, retain, watchDraw), draws, {
              steps,
              target: watching!.target,
              goal: watch!.goal,
              epsilon: options.epsilon,
              optimizer: options.optimizer ?? "sgd",
            });

    const training = performance.now();
    const ledger: LedgerEntry[] = [];
    const checks: Check[] = [];
    const candidates: Candidate[] = [];
    let lambdaUsed = 0;
    let seen = 0;
    const guarded = budget !== undefined || (watch?.limits.length ?? 0) > 0;
    const every = Math.max(1, Math.ceil(steps / LOOKS));
    // Where a run that breaks its budget goes back to: the last state with room left.
    let good = session.startState;
    const pace = startPacing(adaptive);
    let validationLoss = watching?.start.validation.loss ?? 0;
    let stopped = false;
    for (let epoch = 0; epoch < options.epochs && !stopped; epoch++) {
      const forgetTargets = session.forgetTargets(draw);
      for (const samples of plan.epoch(epoch)) {
        const done = ledger.length;
        const epsilon = budget
          ? budgetEpsilon(watching!.lossAllowed, validationLoss, steps - done) +
            pace.caution() * Math.min(0, options.epsilon)
          : epsilonAt(options.epsilon, options.epsilonSchedule ?? "constant", done, steps);
        const { finite, ...measured } = await session.step(samples, forgetTargets, {
          lr: pace.rate() * learningRateAt(lr, options, done, steps),
          epsilon,
          progress: done / steps,
        });
        if (!finite && !guarded)
          throw gateFailed(
            "DIVERGED",
            `A loss is no longer finite at step ${done + 1} of ${steps} (method ${options.method}, lr ${lr}); choose a lower learning rate.`,
          );
        seen += samples.length;
        lambdaUsed = measured.lambda;
        let check: Check | undefined;
        if (watch && watching && (!finite || (done + 1) % every === 0 || done + 1 === steps)) {
          const state = await session.read();
          const weights = session.weightsOf(state);
          check = await watching.check(done + 1, weights);
          checks.push(check);
          const whole = Object.values(state).every((values) => values.every(Number.isFinite));
          if (check.within && whole) {
            if (watching.clear(check)) good = state;
            validationLoss = check.validationLoss;
            pace.kept(validationLoss <= watching.lossAllowed, watching.arrived(check));
            if (check.forgets) {
              candidates.unshift({ step: done + 1, check, weights: new Map(Object.entries(weights)) });
              candidates.sort((a, b) => forgetsMore(a.check!, b.check!, watching));
              candidates.splice(KEPT);
            }
          } else if (guarded) {
            if (whole && watching.affords(check)) pace.cameBack();
            // Back to the last state with room, without the momentum that led out of it.
            else if (pace.broke() || !whole) await session.write(session.atRest(good));
          }
          if (check.stop !== undefined && (!guarded || (check.within && check.forgets))) stopped = true;
        }
        const entry: LedgerEntry = {
          step: done + 1,
          ...measured,
          ...(finite ? {} : { forgetLoss: null, retainLoss: null, batchRise: null, lambda: 0 }),
          validationRise: check && Number.isFinite(check.spent) ? check.spent : null,
          epsilon,
        };
        ledger.push(entry);
        onProgress?.({ step: done + 1, steps, epoch: epoch + 1, epochs: options.epochs, entry });
        if (stopped) break;
      }
    }
    const seconds = (performance.now() - training) / 1000;
    const final = await session.read();
    const weights = new Map(Object.entries(session.weightsOf(final)));
    if (!guarded)
      for (const [name, values] of weights)
        if (!values.every(Number.isFinite))
          throw gateFailed(
            "DIVERGED",
            `The weight "${name}" is no longer finite after step ${steps} of ${steps}; choose a lower learning rate.`,
          );
    return {
      weights,
      ledger,
      lambda: final["dual:lambda"]?.[0] ?? lambdaUsed,
      steps: ledger.length,
      seconds: (performance.now() - started) / 1000,
      compileSeconds: session.compileSeconds,
      samplesPerSecond: seen / seconds,
      lr,
      checks,
      candidates: guarded ? candidates : [{ step: ledger.length, weights }],
    };
  } finally {
    await session.dispose();
  }
}

/** What the range test looks at: forget, validation and retain accuracy. */
async function looking(
  session: Session,
  watching: Awaited<ReturnType<typeof startWatching>>,
  retain: Dataset,
  draw: Draw,
) {
  const sample = sampleOf(retain, draw);
  const forward = await session.forward();
  return async (weights: WeightArrays) => {
    const { forgetAccuracy, validationAccuracy } = await watching.check(0, weights);
    const retained = measure(await forward.logits(weights, retain, sample), retain, sample);
    return { forget: forgetAccuracy, validation: validationAccuracy, retain: retained.accuracy };
  };
}
