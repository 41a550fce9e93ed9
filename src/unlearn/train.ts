import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { TensorSpec } from "../../converters/compile/step.ts";
import { badInput, gateFailed, OnnxUnlearnError } from "../../converters/errors.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import type { Arrays, NumberArray } from "../engine/engine.ts";
import { getEngine } from "../engine/index.ts";
import { resultSpecs } from "../engine/shapes.ts";
import {
  type Draw,
  forgetThenRetain,
  likelyOtherTargets,
  mixedBatches,
  ownTargetsOf,
  redrawnTargets,
  type Sample,
  samplesOf,
  type Targets,
} from "./batches.ts";
import { budgetEpsilon, natsOf } from "./budget.ts";
import { type Forward, prepareForward, type WeightArrays } from "./forward.ts";
import { inputShapes, inputSpecs } from "./inputs.ts";
import { rangeOf, type Score, scoreOf, totalOf, trialSteps } from "./learning-rate.ts";
import { methods } from "./methods/index.ts";
import { settingOf } from "./methods/method.ts";
import { measure } from "./metrics.ts";
import { losses } from "./objectives.ts";
import { optimizerOf } from "./optimizer.ts";
import { checkOptions } from "./options.ts";
import { saliencyMasks } from "./saliency.ts";
import { epsilonAt, learningRateAt } from "./schedule.ts";
import { ruined } from "./teacher.ts";
import type {
  Candidate,
  Dataset,
  LedgerEntry,
  TrainingProgress,
  TrainingResult,
  UnlearnOptions,
} from "./types.ts";
import { type Check, rankOf, sampleOf, startWatching, type Watch } from "./watch.ts";

/** Looks at the watched sets per run. */
const LOOKS = 24;
/** How a run that was slowed down by breaking its budget speeds up again at every look that keeps to it. */
const RECOVERY = 1.3;
/** States within the budget that are kept: rounding on export may break the budget of the last one. */
const KEPT = 4;

/** @throws badInput TARGETS_MISSING, TARGETS_SHAPE, LABEL_RANGE naming set, sample and remedy */
function checkTargets(set: Dataset, kind: "class" | "vector", loss: string, units: number): void {
  if (kind === "vector") {
    if (!set.targets)
      throw badInput(
        "TARGETS_MISSING",
        `${set.path} has one class per sample, but the loss ${loss} needs ${units} numbers per sample; give "y" as [samples, ${units}].`,
      );
    if (set.targets.width !== units)
      throw badInput(
        "TARGETS_SHAPE",
        `${set.path} has ${set.targets.width} targets per sample, but the model has ${units} outputs; mend "y".`,
      );
    return;
  }
  if (set.labels.length !== set.count)
    throw badInput(
      "TARGETS_MISSING",
      `${set.path} has vectors as targets, but the loss ${loss} needs one class per sample; choose another loss.`,
    );
  const classes = Math.max(2, units);
  const wrong = set.labels.findIndex((label) => label < 0 || label >= classes);
  if (wrong >= 0)
    throw badInput(
      "LABEL_RANGE",
      `${set.path}: sample ${wrong} has label ${set.labels[wrong]}, but the model has ${classes} classes`,
    );
}

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
): Promise<TrainingResult> {
  const started = performance.now();
  checkOptions(options);
  const method = methods[options.method];
  const objective = method.objective(options);
  const lossName = options.loss ?? "cross-entropy";
  const loss = losses[lossName];
  const parameters = model.parameters.filter(({ trainable }) => trainable);
  if (parameters.length === 0) throw badInput("NOTHING_TO_TRAIN", "no weight of this model is trainable");
  const start: WeightArrays = Object.fromEntries(parameters.map(({ name, data }) => [name, data]));
  const forgets = method.uses.forget ? samplesOf(forget, true) : [];
  const retains = method.uses.retain ? samplesOf(retain, false) : [];
  const lambdaStart = method.dual(options).lambda ?? 0;
  if (options.lr === "auto" && !watch)
    throw badInput(
      "LR_AUTO",
      "the learning rate auto needs validation data to look at; give a number or a watch.",
    );
  if (options.epochs === 0) {
    const weights = new Map(parameters.map(({ name, data }) => [name, data.slice()]));
    return {
      weights,
      ledger: [],
      lambda: lambdaStart,
      steps: 0,
      seconds: (performance.now() - started) / 1000,
      compileSeconds: 0,
      samplesPerSecond: 0,
      lr: options.lr === "auto" ? 0 : options.lr,
      checks: [],
      candidates: watch?.budget ? [] : [{ step: 0, weights }],
    };
  }
  if (forgets.length + retains.length === 0)
    throw badInput("NO_SAMPLES", `method ${options.method} has no samples to train on`);

  const inputs = inputShapes(model.inputs, [forget, retain]);
  const n = Math.min(
    options.batchSize,
    method.batches === "forget-then-retain"
      ? Math.max(forgets.length, retains.length)
      : forgets.length + retains.length,
  );
  const specs = Object.fromEntries(
    parameters.map(({ name, dims }) => [name, { shape: dims, dtype: "float32" } as TensorSpec]),
  );
  const { logits } = resultSpecs(
    (weights, batch) => ({
      carry: weights,
      results: {
        logits: model.apply(
          weights,
          Object.fromEntries(Object.entries(batch).map(([key, tensor]) => [key.slice(2), tensor])),
        ),
      },
    }),
    { carry: specs, batch: inputSpecs(inputs, n) },
  );
  const units = logits!.shape[1] ?? 1;
  const classes = Math.max(2, units);
  for (const set of [method.uses.forget && forget, method.uses.retain && retain])
    if (set) checkTargets(set, loss.targets, lossName, units);

  const rng = xoroshiro128plus(options.seed);
  const draw: Draw = (from, to) => uniformInt(rng, from, to);
  const engine = await getEngine(options.engine);
  const threads = options.threads === undefined ? {} : { threads: options.threads };

  const teacher = new Map<Dataset, Float32Array>();
  let likelyOther: Targets | undefined;
  if (method.teacher || objective.targets === "likely-other") {
    const forward = await prepareForward(model, engine, inputs, n, options.threads);
    try {
      if (objective.targets === "likely-other")
        likelyOther = likelyOtherTargets(forget, await forward.logits(start, forget));
      if (method.teacher) {
        const onForget = method.teacher === "start" ? start : ruined(start, draw);
        teacher.set(forget, await forward.logits(onForget, forget));
        teacher.set(retain, await forward.logits(start, retain));
      }
    } finally {
      await forward.dispose();
    }
  }
  const share = options.saliency ?? method.saliency ?? 1;
  const masks =
    share < 1 ? await saliencyMasks(model, forget, share, lossName, engine, inputs, n, options.threads) : {};

  const batchSpecs: Record<string, TensorSpec> = {
    ...inputSpecs(inputs, n),
    labels:
      loss.targets === "class" ? { shape: [n], dtype: "int32" } : { shape: [n, units], dtype: "float32" },
    forgetMask: { shape: [n], dtype: "float32" },
    retainMask: { shape: [n], dtype: "float32" },
    lr: { shape: [], dtype: "float32" },
    epsilon: { shape: [], dtype: "float32" },
    progress: { shape: [], dtype: "float32" },
    ...(method.teacher ? { teacher: { shape: [n, units], dtype: "float32" } } : {}),
    ...Object.fromEntries(
      Object.keys(masks).map((name) => [
        `mask:${name}`,
        { shape: specs[name]!.shape, dtype: "bool" } as const,
      ]),
    ),
  };
  const optimizer = optimizerOf(options);
  const carry: Record<string, { spec: TensorSpec; data: NumberArray }> = {};
  for (const { name, data } of parameters) {
    const spec = specs[name]!;
    carry[`p:${name}`] = { spec, data };
    for (const slot of optimizer.slots)
      carry[`${slot}:${name}`] = { spec, data: new Float32Array(data.length) };
  }
  for (const [prefix, scalars] of [
    ["optimizer", optimizer.scalars],
    ["dual", method.dual(options)],
  ] as const)
    for (const [name, value] of Object.entries(scalars))
      carry[`${prefix}:${name}`] = { spec: { shape: [], dtype: "float32" }, data: Float32Array.of(value) };

  const runner = await engine.prepare(
    method.step({ apply: model.apply, trainable: parameters.map(({ name }) => name), options }),
    carry,
    batchSpecs,
    threads,
  );
  const closing: (() => Promise<void>)[] = [() => runner.dispose()];
  try {
    const makePlan = (from: Draw) =>
      method.batches === "forget-then-retain"
        ? forgetThenRetain(forgets, retains, n, from, settingOf(method.settings!, options, "forgetEpochs"))
        : mixedBatches(forgets, retains, n, from);
    const plan = makePlan(draw);
    const steps = Array.from({ length: options.epochs }, (_, epoch) => plan.count(epoch)).reduce(
      (a, b) => a + b,
      0,
    );
    const scalars = { lr: new Float32Array(1), epsilon: new Float32Array(1), progress: new Float32Array(1) };
    const batch: Record<string, NumberArray> = {
      labels: loss.targets === "class" ? new Int32Array(n) : new Float32Array(n * units),
      forgetMask: new Float32Array(n),
      retainMask: new Float32Array(n),
      ...scalars,
      ...(method.teacher ? { teacher: new Float32Array(n * units) } : {}),
      ...Object.fromEntries(Object.entries(masks).map(([name, mask]) => [`mask:${name}`, mask])),
    };
    for (const { name, size, dtype } of inputs)
      batch[`x:${name}`] = dtype === "int32" ? new Int32Array(n * size) : new Float32Array(n * size);
    const kind =
      lossName === "cross-entropy" ? "classes" : lossName === "binary-cross-entropy" ? "bits" : "values";
    const forgetTargetsOf = (from: Draw) =>
      likelyOther ??
      (objective.targets === "redrawn" ? redrawnTargets(forget, kind, classes, from) : ownTargetsOf(forget));
    const retainTargets = ownTargetsOf(retain);

    const step = async (
      samples: readonly Sample[],
      forgetTargets: Targets,
      at: { readonly lr: number; readonly epsilon: number; readonly progress: number },
    ) => {
      if (signal?.aborted) throw new OnnxUnlearnError("INTERRUPTED", "interrupted; nothing was written", 130);
      for (let row = 0; row < n; row++) {
        const valid = row < samples.length;
        const { set, i, forgets } = samples[valid ? row : 0]!;
        const { data, width } = forgets ? forgetTargets : retainTargets;
        batch.labels!.set(data.subarray(i * width, (i + 1) * width), row * width);
        batch.forgetMask![row] = valid && forgets ? 1 : 0;
        batch.retainMask![row] = valid && !forgets ? 1 : 0;
        batch.teacher?.set(teacher.get(set)!.subarray(i * units, (i + 1) * units), row * units);
        for (const { name, size } of inputs)
          batch[`x:${name}`]!.set(set.inputs[name]!.data.subarray(i * size, (i + 1) * size), row * size);
      }
      scalars.lr[0] = at.lr;
      scalars.epsilon[0] = at.epsilon;
      scalars.progress[0] = at.progress;
      const out = await runner.run(batch);
      const scalar = (key: string) => out[key]?.[0] ?? 0;
      return {
        finite: ["forgetLoss", "retainLoss", "rise", "lambda"].every((key) => Number.isFinite(scalar(key))),
        lambda: scalar("lambda"),
        forgetLoss: scalar("hasForget") > 0 ? scalar("forgetLoss") : null,
        retainLoss: scalar("hasRetain") > 0 ? scalar("retainLoss") : null,
        batchRise: scalar("hasRise") > 0 ? scalar("rise") : null,
      };
    };
    const weightsOf = (state: Arrays): WeightArrays =>
      Object.fromEntries(parameters.map(({ name }) => [name, state[`p:${name}`] as Float32Array]));
    const startState: Arrays = Object.fromEntries(
      Object.entries(carry).map(([key, { data }]) => [key, data]),
    );

    // Draws of their own: what is watched does not change what is trained.
    const watchDraw: Draw = (from, to) => uniformInt(watchRng, from, to);
    const watchRng = xoroshiro128plus(options.seed ^ 0x5eed);
    let forward: Forward | undefined;
    let watching: Awaited<ReturnType<typeof startWatching>> | undefined;
    if (watch) {
      forward = await prepareForward(model, engine, inputs, Math.min(250, retain.count), options.threads);
      const made = forward;
      closing.push(() => made.dispose());
      watching = await startWatching(watch, forget, retain, forward, start, lossName, watchDraw);
    }
    const search = async (): Promise<number> => {
      const sample = sampleOf(retain, watchDraw);
      const accuracyOf = async (weights: WeightArrays, set: Dataset, samples?: Int32Array) =>
        measure(await forward!.logits(weights, set, samples), set, lossName, samples).accuracy;
      const look = async (weights: WeightArrays) => {
        const { forgetAccuracy, validationAccuracy } = await watching!.check(0, weights);
        return {
          forget: forgetAccuracy,
          validation: validationAccuracy,
          retain: await accuracyOf(weights, retain, sample),
        };
      };
      const before = await look(start);
      const trial = async (lr: number): Promise<number> => {
        const trialRng = xoroshiro128plus(options.seed);
        const from: Draw = (low, high) => uniformInt(trialRng, low, high);
        const trialPlan = makePlan(from);
        await runner.write(startState);
        const count = trialSteps(steps);
        let taken = 0;
        let score: Score | undefined;
        for (let epoch = 0; taken < count; epoch++) {
          const targets = forgetTargetsOf(from);
          for (const samples of trialPlan.epoch(epoch)) {
            if (taken === count) break;
            const at = { lr, epsilon: options.epsilon, progress: taken / count };
            const { finite } = await step(samples, targets, at);
            if (!finite) return Number.POSITIVE_INFINITY;
            taken++;
            // Utility at its worst, forgetting at the end: a rate that only recovers from its first steps is too high.
            if (taken === Math.ceil(count / 2) || taken === count)
              score = scoreOf(await look(weightsOf(await runner.read())), before, watching!.target, score);
          }
        }
        return totalOf(score!);
      };
      let best = { lr: rangeOf(options.optimizer ?? "sgd")[0]!, score: Number.POSITIVE_INFINITY };
      let worse = 0;
      for (const lr of rangeOf(options.optimizer ?? "sgd")) {
        const score = await trial(lr);
        worse = score > best.score ? worse + 1 : 0;
        if (score <= best.score) best = { lr, score };
        if (worse === 2) break;
      }
      await runner.write(startState);
      return best.lr;
    };
    const lr = options.lr === "auto" ? await search() : options.lr;

    const training = performance.now();
    const ledger: LedgerEntry[] = [];
    const checks: Check[] = [];
    const candidates: Candidate[] = [];
    let lambdaUsed = 0;
    let seen = 0;
    const budget = watch?.budget;
    const guarded = budget !== undefined || (watch?.limits.length ?? 0) > 0;
    const nats = budget && watching ? natsOf(budget, watching.start.validation) : 0;
    const every = Math.max(1, Math.ceil(steps / LOOKS));
    // Where a run that breaks its budget goes back to, and by how much it has slowed down since.
    let good = startState;
    let pace = 1;
    let inARow = 0;
    let validationLoss = watching?.start.validation.loss ?? 0;
    let stopped = false;
    const rank = ({ check }: Candidate) => rankOf(check!, watching!.start, watching!.target);
    for (let epoch = 0; epoch < options.epochs && !stopped; epoch++) {
      const forgetTargets = forgetTargetsOf(draw);
      for (const samples of plan.epoch(epoch)) {
        const done = ledger.length;
        const epsilon = budget
          ? budgetEpsilon(watching!.start.validation.loss, validationLoss, nats, steps - done)
          : epsilonAt(options.epsilon, options.epsilonSchedule ?? "constant", done, steps);
        const { finite, ...measured } = await step(samples, forgetTargets, {
          lr: pace * learningRateAt(lr, options, done, steps),
          epsilon,
          progress: done / steps,
        });
        if (!finite && !guarded)
          throw gateFailed(
            "DIVERGED",
            `a loss is no longer finite at step ${done + 1} of ${steps} (method ${options.method}, lr ${lr}); try a lower --lr`,
          );
        seen += samples.length;
        lambdaUsed = measured.lambda;
        let check: Check | undefined;
        if (watch && watching && (!finite || (done + 1) % every === 0 || done + 1 === steps)) {
          const state = await runner.read();
          const weights = weightsOf(state);
          check = await watching.check(done + 1, weights);
          checks.push(check);
          if (check.within && Object.values(state).every((values) => values.every(Number.isFinite))) {
            good = state;
            inARow = 0;
            pace = Math.min(1, pace * RECOVERY);
            validationLoss = check.validationLoss;
            if (check.forgets) {
              candidates.unshift({ step: done + 1, check, weights: new Map(Object.entries(weights)) });
              candidates.sort((a, b) => rank(a) - rank(b));
              candidates.splice(KEPT);
            }
          } else if (guarded) {
            // Back to the last state within the budget, without its momentum, and on more carefully each time.
            inARow++;
            pace *= 0.5 ** inARow;
            await runner.write(
              Object.fromEntries(
                Object.entries(good).map(([key, values]) => [
                  key,
                  optimizer.slots.some((slot) => key.startsWith(`${slot}:`)) ? values.map(() => 0) : values,
                ]),
              ),
            );
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
    const final = await runner.read();
    const weights = new Map(Object.entries(weightsOf(final)));
    if (!guarded)
      for (const [name, values] of weights)
        if (!values.every(Number.isFinite))
          throw gateFailed(
            "DIVERGED",
            `weight "${name}" is no longer finite after step ${steps} of ${steps}; try a lower --lr`,
          );
    return {
      weights,
      ledger,
      lambda: final["dual:lambda"]?.[0] ?? lambdaUsed,
      steps: ledger.length,
      seconds: (performance.now() - started) / 1000,
      compileSeconds: runner.compileSeconds,
      samplesPerSecond: seen / seconds,
      lr,
      checks,
      candidates: guarded ? candidates : [{ step: ledger.length, weights }],
    };
  } finally {
    for (const close of closing) await close();
  }
}
