import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { TensorSpec } from "../../converters/compile/step.ts";
import { badInput, gateFailed, OnnxUnlearnError } from "../../converters/errors.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import type { NumberArray } from "../engine/engine.ts";
import { getEngine } from "../engine/index.ts";
import { resultSpecs } from "../engine/shapes.ts";
import {
  type Draw,
  forgetThenRetain,
  likelyOtherTargets,
  mixedBatches,
  ownTargetsOf,
  redrawnTargets,
  samplesOf,
  type Targets,
} from "./batches.ts";
import { prepareForward, type WeightArrays } from "./forward.ts";
import { inputShapes, inputSpecs } from "./inputs.ts";
import { methods } from "./methods/index.ts";
import { settingOf } from "./methods/method.ts";
import { losses } from "./objectives.ts";
import { optimizerOf } from "./optimizer.ts";
import { checkOptions } from "./options.ts";
import { saliencyMasks } from "./saliency.ts";
import { epsilonAt, learningRateAt } from "./schedule.ts";
import { ruined } from "./teacher.ts";
import type { Dataset, LedgerEntry, TrainingProgress, TrainingResult, UnlearnOptions } from "./types.ts";

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
  if (options.epochs === 0)
    return {
      weights: new Map(parameters.map(({ name, data }) => [name, data.slice()])),
      ledger: [],
      lambda: lambdaStart,
      steps: 0,
      seconds: (performance.now() - started) / 1000,
      compileSeconds: 0,
      samplesPerSecond: 0,
    };
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
  const training = performance.now();
  const ledger: LedgerEntry[] = [];
  let lambdaUsed = 0;
  let seen = 0;
  try {
    const plan =
      method.batches === "forget-then-retain"
        ? forgetThenRetain(forgets, retains, n, draw, settingOf(method.settings!, options, "forgetEpochs"))
        : mixedBatches(forgets, retains, n, draw);
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

    for (let epoch = 0; epoch < options.epochs; epoch++) {
      const forgetTargets =
        likelyOther ??
        (objective.targets === "redrawn"
          ? redrawnTargets(forget, kind, classes, draw)
          : ownTargetsOf(forget));
      const retainTargets = ownTargetsOf(retain);
      for (const samples of plan.epoch(epoch)) {
        if (signal?.aborted)
          throw new OnnxUnlearnError("INTERRUPTED", "interrupted; nothing was written", 130);
        const number = ledger.length + 1;
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
        seen += samples.length;
        scalars.lr[0] = learningRateAt(options.lr, options, number - 1, steps);
        scalars.epsilon[0] = epsilonAt(
          options.epsilon,
          options.epsilonSchedule ?? "constant",
          number - 1,
          steps,
        );
        scalars.progress[0] = (number - 1) / steps;
        const out = await runner.run(batch);
        const scalar = (key: string) => out[key]?.[0] ?? 0;
        const values = ["forgetLoss", "retainLoss", "rise", "lambda"].map(scalar);
        if (!values.every(Number.isFinite))
          throw gateFailed(
            "DIVERGED",
            `a loss is no longer finite at step ${number} of ${steps} (method ${options.method}, lr ${options.lr}); try a lower --lr`,
          );
        lambdaUsed = scalar("lambda");
        const entry: LedgerEntry = {
          step: number,
          forgetLoss: scalar("hasForget") > 0 ? scalar("forgetLoss") : null,
          retainLoss: scalar("hasRetain") > 0 ? scalar("retainLoss") : null,
          batchRise: scalar("hasRise") > 0 ? scalar("rise") : null,
          epsilon: scalars.epsilon[0]!,
          lambda: lambdaUsed,
        };
        ledger.push(entry);
        onProgress?.({ step: number, steps, epoch: epoch + 1, epochs: options.epochs, entry });
      }
    }
    const seconds = (performance.now() - training) / 1000;
    const final = await runner.read();
    const weights = new Map(parameters.map(({ name }) => [name, final[`p:${name}`] as Float32Array]));
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
      steps,
      seconds: (performance.now() - started) / 1000,
      compileSeconds: runner.compileSeconds,
      samplesPerSecond: seen / seconds,
    };
  } finally {
    await runner.dispose();
  }
}
