import type { TensorSpec } from "../../converters/compile/step.ts";
import { badInput, OnnxUnlearnError } from "../../converters/errors.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import type { Dataset } from "../data/types.ts";
import type { Arrays, NumberArray } from "../engine/engine.ts";
import { getEngine } from "../engine/index.ts";
import type { OperatorTime } from "../engine/profile.ts";
import { resultSpecs } from "../engine/shapes.ts";
import { checkTrainable, taskOf } from "../tasks/index.ts";
import type { Truth } from "../tasks/task.ts";
import { emptyLike, truthSpec } from "../tasks/truth.ts";
import { prepareAccumulated } from "./accumulate.ts";
import {
  type BatchPlan,
  type Draw,
  forgetThenRetain,
  mixedBatches,
  retainedFirst,
  retainedIn,
  type Sample,
  samplesOf,
} from "./batches.ts";
import { type Forward, prepareForward, type WeightArrays } from "./forward.ts";
import { inputShapes, inputSpecs } from "./inputs.ts";
import { methods } from "./methods/index.ts";
import { type MethodContext, settingOf } from "./methods/method.ts";
import { optimizerOf } from "./optimizer.ts";
import { saliencyMasks } from "./saliency.ts";
import { ruined } from "./teacher.ts";
import type { UnlearnOptions } from "./types.ts";

/** Where a step stands in its run. */
export interface StepPlace {
  readonly lr: number;
  readonly epsilon: number;
  /** Share of the run that is done. */
  readonly progress: number;
}

/** One step's figures; losses are null for a side without samples, the rise where it was not measured. */
export interface StepFigures {
  readonly finite: boolean;
  readonly lambda: number;
  readonly forgetLoss: number | null;
  readonly retainLoss: number | null;
  readonly batchRise: number | null;
}

/** A method made ready on a model and its data: takes steps from any state. What is done with them is the caller's. */
export interface Session {
  readonly compileSeconds: number;
  /** Weights at the start. */
  readonly start: WeightArrays;
  /** Weights, optimiser and dual variable at the start. */
  readonly startState: Arrays;
  /** Batches in the order of these draws. */
  readonly plan: (draw: Draw) => BatchPlan;
  /** Targets of the forget set for one epoch. */
  readonly forgetTargets: (draw: Draw) => Truth;
  /** @throws OnnxUnlearnError INTERRUPTED (exit 130) */
  readonly step: (samples: readonly Sample[], targets: Truth, at: StepPlace) => Promise<StepFigures>;
  readonly read: () => Promise<Arrays>;
  readonly write: (state: Arrays) => Promise<void>;
  readonly weightsOf: (state: Arrays) => WeightArrays;
  /** A state without the optimiser's memory. */
  readonly atRest: (state: Arrays) => Arrays;
  /** The model's forward pass for any weights, closed with the session. */
  readonly forward: () => Promise<Forward>;
  readonly dispose: () => Promise<void>;
}

/** Rows of a forward pass over a watched set. */
const FORWARD_ROWS = 250;

/**
 * Compiles a method's step for one batch shape, and measures once what it needs of the start model: teacher logits, likely classes, saliency.
 * @param draw of what the method draws once for all
 * @param drawing the draws of the run's batches, from their start
 * @throws OnnxUnlearnError (exit 2) as `train`
 */
export async function openSession(
  model: TrainableModel,
  forget: Dataset,
  retain: Dataset,
  options: UnlearnOptions,
  draw: Draw,
  drawing: () => Draw,
  signal?: AbortSignal,
  onProfile?: (rows: readonly OperatorTime[]) => void,
): Promise<Session> {
  const method = methods[options.method];
  const objective = method.objective(options);
  const task = taskOf(options.loss);
  const parameters = model.parameters.filter(({ trainable }) => trainable);
  if (parameters.length === 0)
    throw badInput(
      "NOTHING_TO_TRAIN",
      "No weight of this model is trainable; choose others, or freeze fewer.",
    );
  const start: WeightArrays = Object.fromEntries(parameters.map(({ name, data }) => [name, data]));
  const forgets = method.uses.forget ? samplesOf(forget, true) : [];
  const retains = method.uses.retain ? samplesOf(retain, false) : [];
  if (forgets.length + retains.length === 0)
    throw badInput("NO_SAMPLES", `The method ${options.method} has no samples to train on; fill the sets.`);

  const inputs = inputShapes(model.inputs, [forget, retain]);
  const batchSize = Math.min(
    options.batchSize,
    method.batches === "forget-then-retain"
      ? Math.max(forgets.length, retains.length)
      : forgets.length + retains.length,
  );
  // A graph with a batch of its own gets larger ones in parts of it, smaller ones filled up.
  const rows = model.batching.kind === "split" ? model.batching.size : batchSize;
  const n = Math.max(batchSize, rows);
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
    { carry: specs, batch: inputSpecs(inputs, rows) },
  );
  const units = logits!.shape[1] ?? 1;
  for (const set of [method.uses.forget && forget, method.uses.retain && retain])
    if (set) checkTrainable(set, task, units);
  const { truth } = method.uses.forget ? forget : retain;

  const engine = await getEngine(options.engine);
  const threads = options.threads === undefined ? {} : { threads: options.threads };

  const teacher = new Map<Dataset, Float32Array>();
  let targetsOnce: Truth | undefined;
  if (method.teacher || objective.fromStart) {
    const forward = await prepareForward(model, engine, inputs, rows, options.threads);
    try {
      targetsOnce = objective.fromStart?.(forget, await forward.logits(start, forget));
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
    share < 1
      ? await saliencyMasks(model, forget, { share, engine, inputs, rows, threads: options.threads })
      : {};

  const batchSpecs: Record<string, TensorSpec> = {
    ...inputSpecs(inputs, rows),
    labels: truthSpec(truth, rows),
    forgetMask: { shape: [rows], dtype: "float32" },
    retainMask: { shape: [rows], dtype: "float32" },
    lr: { shape: [], dtype: "float32" },
    epsilon: { shape: [], dtype: "float32" },
    progress: { shape: [], dtype: "float32" },
    ...(method.teacher ? { teacher: { shape: [rows, units], dtype: "float32" } } : {}),
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

  const plan = (from: Draw): BatchPlan =>
    method.batches === "forget-then-retain"
      ? forgetThenRetain(
          forgets,
          retains,
          batchSize,
          from,
          settingOf(method.settings!, options, "forgetEpochs"),
        )
      : mixedBatches(forgets, retains, batchSize, from);
  const forgetTargets = (from: Draw): Truth =>
    targetsOnce ?? objective.redraw?.(forget, units, from) ?? forget.truth;
  /** The most retained samples that any batch of the run will have: its draws are made once before. */
  const mostRetained = (): number => {
    const again = drawing();
    const rehearsed = plan(again);
    let most = 1;
    for (let epoch = 0; epoch < options.epochs; epoch++) {
      forgetTargets(again);
      for (const samples of rehearsed.epoch(epoch)) most = Math.max(most, retainedIn(samples));
    }
    return most;
  };
  const samplesAlone = () =>
    model.mixes(
      Object.fromEntries(inputs.map(({ name, shape, dtype }) => [name, { shape: [rows, ...shape], dtype }])),
    ) === undefined;
  const retainRows = method.measuresRise && n === rows && samplesAlone() ? mostRetained() : n;
  const context: MethodContext = {
    apply: model.apply,
    trainable: parameters.map(({ name }) => name),
    options,
    ...(retainRows < rows ? { retainRows } : {}),
  };
  const preparing = { ...threads, ...(onProfile ? { onProfile } : {}) };
  const runner =
    n > rows
      ? await prepareAccumulated(engine, method, context, carry, batchSpecs, n, preparing)
      : await engine.prepare(method.step(context), carry, batchSpecs, preparing);
  const scalars = { lr: new Float32Array(1), epsilon: new Float32Array(1), progress: new Float32Array(1) };
  const batch: Record<string, NumberArray> = {
    labels: emptyLike(truth.data, n * truth.width),
    forgetMask: new Float32Array(n),
    retainMask: new Float32Array(n),
    ...scalars,
    ...(method.teacher ? { teacher: new Float32Array(n * units) } : {}),
    ...Object.fromEntries(Object.entries(masks).map(([name, mask]) => [`mask:${name}`, mask])),
  };
  for (const { name, size, dtype } of inputs)
    batch[`x:${name}`] = dtype === "int32" ? new Int32Array(n * size) : new Float32Array(n * size);

  const stepDraw = drawing();
  const step = async (
    samples: readonly Sample[],
    targets: Truth,
    at: { readonly lr: number; readonly epsilon: number; readonly progress: number },
  ) => {
    if (signal?.aborted) throw new OnnxUnlearnError("INTERRUPTED", "Interrupted; nothing was written.", 130);
    const retained = retainedIn(samples);
    if (retained > retainRows)
      throw new Error(`a batch with ${retained} retained samples, of ${retainRows} foreseen`);
    const ordered = retainedFirst(samples);
    for (let row = 0; row < n; row++) {
      const valid = row < ordered.length;
      const { set, i, forgets } = ordered[valid ? row : 0]!;
      const { data, width } = forgets ? targets : retain.truth;
      batch.labels!.set(data.subarray(i * width, (i + 1) * width), row * width);
      batch.forgetMask![row] = valid && forgets ? 1 : 0;
      batch.retainMask![row] = valid && !forgets ? 1 : 0;
      batch.teacher?.set(teacher.get(set)!.subarray(i * units, (i + 1) * units), row * units);
      for (const { name, size } of inputs)
        batch[`x:${name}`]!.set(set.inputs[name]!.data.subarray(i * size, (i + 1) * size), row * size);
    }
    task.drawStep?.(batch, stepDraw);
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
  const startState: Arrays = Object.fromEntries(Object.entries(carry).map(([key, { data }]) => [key, data]));

  let forward: Promise<Forward> | undefined;
  return {
    compileSeconds: runner.compileSeconds,
    start,
    startState,
    plan,
    forgetTargets,
    step,
    read: () => runner.read(),
    write: (state) => runner.write(state),
    weightsOf,
    atRest: (state) =>
      Object.fromEntries(
        Object.entries(state).map(([key, values]) => [
          key,
          ["optimizer", ...optimizer.slots].some((prefix) => key.startsWith(`${prefix}:`))
            ? values.map(() => 0)
            : values,
        ]),
      ),
    forward: () => {
      forward ??= prepareForward(
        model,
        engine,
        inputs,
        model.batching.kind === "split" ? rows : Math.min(FORWARD_ROWS, retain.count),
        options.threads,
      );
      return forward;
    },
    async dispose() {
      await (await forward)?.dispose();
      await runner.dispose();
    },
  };
}
