import { traceShapes } from "../../converters/compile/compile.ts";
import type { TensorSpec } from "../../converters/compile/step.ts";
import { badInput } from "../../converters/errors.ts";
import { createBatcher, inMemory, type SampleSource } from "../data/batcher.ts";
import type { Dataset } from "../data/types.ts";
import type { Arrays, Engine } from "../engine/engine.ts";
import { getEngine } from "../engine/index.ts";
import type { OperatorTime } from "../engine/profile.ts";
import { refuseInterrupted } from "../interrupt.ts";
import { checkTrainable, taskOf } from "../tasks/index.ts";
import type { Draw, Truth } from "../tasks/task.ts";
import { truthSpec } from "../tasks/truth.ts";
import {
  type BatchPlan,
  forgetThenRetain,
  mixedBatches,
  retainedIn,
  type Sample,
  samplesOf,
} from "./batches.ts";
import { methodOf, objectiveOf } from "./chosen.ts";
import { type Feeding, type Forward, prepareForward, type WeightArrays } from "./forward.ts";
import { prepareAccumulated } from "./gradient-accumulation.ts";
import { type InputShape, inputColumns, inputShapes, inputSpecs } from "./inputs.ts";
import { specsOf, type TrainableGraph, trainableOf } from "./model.ts";
import { optimizerOf } from "./optimizer.ts";
import { saliencyMasks } from "./saliency.ts";
import { inputKeys, mapValues, maskKeys, SCALAR, scalarOf, stateKeys, weightKeys } from "./state.ts";
import { riseOf, type StepContext, settingOf, startState, wholeBatchStep } from "./step.ts";
import { ruined } from "./teacher.ts";
import type { UnlearnOptions } from "./types.ts";

/** Values of one step that depend on its place in the run. */
export interface StepPlace {
  readonly lr: number;
  readonly epsilon: number;
  /** Share of the run that is done, 0…1. */
  readonly progress: number;
}

/** Figures of one step. A loss is null if its side has no samples, the rise if it was not measured. */
export interface StepFigures {
  readonly finite: boolean;
  readonly lambda: number;
  readonly forgetLoss: number | null;
  readonly retainLoss: number | null;
  readonly batchRise: number | null;
}

/** A method compiled for a model and its data; the caller sets the state and asks for steps. */
export interface Session {
  readonly compileSeconds: number;
  /** Weights at the start. */
  readonly start: WeightArrays;
  /** Weights, optimizer and dual variable at the start. */
  readonly startState: Arrays;
  /** The run's batches, in an order from these random draws. */
  readonly plan: (draw: Draw) => BatchPlan;
  /** Targets of the forget set for one epoch. */
  readonly forgetTargets: (draw: Draw) => Truth;
  /** @throws OnnxUnlearnError INTERRUPTED (exit 130) */
  readonly step: (samples: readonly Sample[], targets: Truth, at: StepPlace) => Promise<StepFigures>;
  readonly read: () => Promise<Arrays>;
  readonly write: (state: Arrays) => Promise<void>;
  readonly weightsOf: (state: Arrays) => WeightArrays;
  /** λ of a state; undefined for methods without one. */
  readonly lambdaOf: (state: Arrays) => number | undefined;
  /** A state with the optimizer's part set to zero. */
  readonly atRest: (state: Arrays) => Arrays;
  /** The model's forward pass for any weights; disposed of with the session. */
  readonly forward: () => Promise<Forward>;
  readonly dispose: () => Promise<void>;
}

/** What a session is opened with. */
export interface SessionRequest {
  readonly model: TrainableGraph;
  readonly forget: Dataset;
  readonly retain: Dataset;
  readonly options: UnlearnOptions;
  /** Random draws of what a method needs once, such as a ruined teacher. */
  readonly draw: Draw;
  /** Starts the random draws of the run's batches anew at every call. */
  readonly drawing: () => Draw;
  readonly signal?: AbortSignal | undefined;
  readonly onProfile?: ((rows: readonly OperatorTime[]) => void) | undefined;
}

/** Batch size of forward passes over watched sets. */
const FORWARD_ROWS = 250;

type Setup = ReturnType<typeof setUp>;

/**
 * Resolves a request: the method and objective, the weights and samples to train on, and the batch size.
 * @throws badInput NOTHING_TO_TRAIN, NO_SAMPLES, INPUT_MISSING, INPUT_SHAPE, OBJECTIVE_LOSS, TARGETS_…,
 *   LABEL_RANGE
 */
function setUp({ model, forget, retain, options }: SessionRequest) {
  const method = methodOf(options.method);
  const objective = objectiveOf(method, options);
  const task = taskOf(options.loss);
  const parameters = trainableOf(model);
  if (parameters.length === 0)
    throw badInput(
      "NOTHING_TO_TRAIN",
      "No weight of this model is trainable; choose others, or freeze fewer.",
    );
  const forgetSamples = method.uses.forget ? samplesOf(forget, true) : [];
  const retainSamples = method.uses.retain ? samplesOf(retain, false) : [];
  if (forgetSamples.length + retainSamples.length === 0)
    throw badInput("NO_SAMPLES", `The method ${method.name} has no samples to train on; fill the sets.`);

  const inputs = inputShapes(model.inputs, [forget, retain]);
  const batchSize = Math.min(
    options.batchSize,
    method.batches === "forget-then-retain"
      ? Math.max(forgetSamples.length, retainSamples.length)
      : forgetSamples.length + retainSamples.length,
  );
  // A graph with a fixed batch size gets larger batches in parts, and smaller ones padded.
  const rows = model.batching.kind === "split" ? model.batching.size : batchSize;
  const units = unitsOf(model, inputs, rows);
  for (const set of [method.uses.forget && forget, method.uses.retain && retain])
    if (set) checkTrainable(set, task, units);
  const start: WeightArrays = Object.fromEntries(parameters.map(({ name, data }) => [name, data]));
  return {
    ...{ method, objective, task, parameters, start, forgetSamples, retainSamples, inputs, units },
    // Tells type and shape of the truth in a batch.
    truth: (method.uses.forget ? forget : retain).truth,
    // Most samples of a batch; samples that go through the graph at once; parts of a batch.
    ...{ batchSize, rows, parts: Math.ceil(batchSize / rows) },
  };
}

/** Outputs of the model per sample, found by tracing it. */
function unitsOf(model: TrainableGraph, inputs: readonly InputShape[], rows: number): number {
  const { logits } = traceShapes(
    (carry, batch) => ({ carry, results: { logits: model.apply(carry, inputKeys.read(batch)) } }),
    { carry: specsOf(trainableOf(model)), batch: inputSpecs(inputs, rows) },
  );
  return logits!.shape[1] ?? 1;
}

/**
 * What a method needs of the start model, computed once: the teacher's logits for each sample, and the
 * targets of the forget samples if the objective derives them from the start model's logits.
 */
async function answersOfStart(
  { method, objective, start }: Setup,
  { forget, retain, draw }: SessionRequest,
  feeding: Feeding,
) {
  const teacher = new Map<Dataset, Float32Array>();
  let targetsOnce: Truth | undefined;
  if (method.teacher || objective.fromStart) {
    const forward = await prepareForward(feeding);
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
  return { teacher, targetsOnce };
}

/** The run's batches and targets, as functions of random draws. */
type Order = Pick<Session, "plan" | "forgetTargets">;

function orderOf(
  { method, objective, forgetSamples, retainSamples, batchSize, units }: Setup,
  { forget, options }: SessionRequest,
  targetsOnce: Truth | undefined,
): Order {
  return {
    plan: (from) =>
      method.batches === "forget-then-retain"
        ? forgetThenRetain(
            forgetSamples,
            retainSamples,
            batchSize,
            from,
            settingOf(method, options, "forgetEpochs"),
          )
        : mixedBatches(forgetSamples, retainSamples, batchSize, from),
    forgetTargets: (from) => targetsOnce ?? objective.redraw?.(forget, units, from) ?? forget.truth,
  };
}

/** The most retained samples of any batch of the run, found by a rehearsal with the same draws. */
function mostRetained({ plan, forgetTargets }: Order, epochs: number, draw: Draw): number {
  const rehearsed = plan(draw);
  let most = 1;
  for (let epoch = 0; epoch < epochs; epoch++) {
    forgetTargets(draw);
    for (const samples of rehearsed.epoch(epoch)) most = Math.max(most, retainedIn(samples));
  }
  return most;
}

/** Specs of a step's batch: `samples` have one row per sample (of a part), `others` have not. */
function batchSpecs({ method, truth, inputs, rows, units, parameters }: Setup, masks: Arrays) {
  const columns: Record<string, TensorSpec> = {
    ...inputSpecs(inputs, rows),
    labels: truthSpec(truth, rows),
    ...(method.teacher ? { teacher: { shape: [rows, units], dtype: "float32" } as const } : {}),
  };
  const vector: TensorSpec = { shape: [rows], dtype: "float32" };
  const weightSpecs = specsOf(parameters);
  return {
    columns,
    samples: { ...columns, forgetMask: vector, retainMask: vector },
    others: {
      ...{ lr: SCALAR, epsilon: SCALAR, progress: SCALAR },
      ...maskKeys.flat(mapValues(masks, (_, name): TensorSpec => ({ ...weightSpecs[name]!, dtype: "bool" }))),
    },
  };
}

/** Compiles the step for whole batches, or for batches in parts if the graph takes fewer samples. */
async function prepareStep(
  setup: Setup,
  { model, options, drawing, onProfile }: SessionRequest,
  engine: Engine,
  masks: Arrays,
  order: Order,
) {
  const { method, objective, parameters, inputs, rows, parts } = setup;
  const specs = batchSpecs(setup, masks);
  const independent = () => model.mixes(inputKeys.read(inputSpecs(inputs, rows))) === undefined;
  const retainRows =
    riseOf(method) === "second-forward" && parts === 1 && independent()
      ? mostRetained(order, options.epochs, drawing())
      : rows * parts;
  const context: StepContext = {
    ...{ method, objective, options, apply: model.apply },
    trainable: parameters.map(({ name }) => name),
    ...(retainRows < rows ? { retainRows } : {}),
  };
  const start = startState(method, options, parameters);
  const preparing = { threads: options.threads, onProfile };
  const { samples: sampleSpecs, others: otherSpecs } = specs;
  const runner =
    parts > 1
      ? await prepareAccumulated({ engine, context, start, sampleSpecs, otherSpecs, parts, preparing })
      : await engine.prepare(
          wholeBatchStep(context),
          stateKeys.flat(start),
          { ...sampleSpecs, ...otherSpecs },
          preparing,
        );
  const batcher = createBatcher({
    ...{ columns: specs.columns, masks: ["forgetMask", "retainMask"], rows: rows * parts },
    padding: "first row",
  });
  return { runner, start, retainRows, batcher };
}

/** The step of a session: gathers a batch, runs it and returns its figures. */
function stepOf(
  { method, task, inputs, units }: Setup,
  { forget, retain, drawing, signal }: SessionRequest,
  { runner, retainRows, batcher }: Awaited<ReturnType<typeof prepareStep>>,
  masks: Arrays,
  teacher: ReadonlyMap<Dataset, Float32Array>,
): Session["step"] {
  const sourceOf = (set: Dataset, targets: Truth): SampleSource =>
    inMemory({
      ...inputColumns(inputs, set),
      labels: targets,
      ...(method.teacher ? { teacher: { data: teacher.get(set)!, width: units } } : {}),
    });
  const retainSource = sourceOf(retain, retain.truth);
  const stepDraw = drawing();
  const fixed = maskKeys.flat(masks);
  return async (samples, targets, at) => {
    refuseInterrupted(signal);
    const indicesOf = (side: boolean) => samples.filter(({ forgets }) => forgets === side).map(({ i }) => i);
    const [retained, forgotten] = [indicesOf(false), indicesOf(true)];
    if (retained.length > retainRows)
      throw new Error(`a batch with ${retained.length} retained samples, of ${retainRows} foreseen`);
    // Retained samples come first, as the second forward pass uses the first rows only.
    const batch = await batcher.fill([
      { source: retainSource, indices: retained, mask: "retainMask" },
      { source: sourceOf(forget, targets), indices: forgotten, mask: "forgetMask" },
    ]);
    task.drawStep?.(batch, stepDraw);
    const out = await runner.run({
      ...batch,
      ...fixed,
      ...{ lr: scalarOf(at.lr), epsilon: scalarOf(at.epsilon), progress: scalarOf(at.progress) },
    });
    const scalar = (key: string) => out[key]?.[0] ?? 0;
    return {
      finite: ["forgetLoss", "retainLoss", "rise", "lambda"].every((key) => Number.isFinite(scalar(key))),
      lambda: scalar("lambda"),
      forgetLoss: scalar("hasForget") > 0 ? scalar("forgetLoss") : null,
      retainLoss: scalar("hasRetain") > 0 ? scalar("retainLoss") : null,
      batchRise: scalar("hasRise") > 0 ? scalar("rise") : null,
    };
  };
}

/** Functions of a session that read the parts of a state. */
function stateReaders(options: UnlearnOptions): Pick<Session, "weightsOf" | "lambdaOf" | "atRest"> {
  const { slots } = optimizerOf(options);
  const zeros = (values: Arrays): Arrays => mapValues(values, (array) => array.map(() => 0));
  return {
    weightsOf: (state) => weightKeys.read(state) as WeightArrays,
    lambdaOf: (state) => stateKeys.read(state, slots).dual["lambda"]?.[0],
    atRest: (state) => {
      const all = stateKeys.read(state, slots);
      return stateKeys.flat({ ...all, slots: mapValues(all.slots, zeros), scalars: zeros(all.scalars) });
    },
  };
}

/**
 * Compiles a method's step for one batch shape, and computes what it needs of the start model: teacher
 * logits, likely classes, saliency masks.
 * @throws OnnxUnlearnError (exit 2) as `train`
 */
export async function openSession(request: SessionRequest): Promise<Session> {
  const { model, forget, retain, options } = request;
  const setup = setUp(request);
  const { method, inputs, rows, start } = setup;
  const engine = await getEngine(options.engine);
  const feeding: Feeding = { model, engine, inputs, rows, threads: options.threads };
  const { teacher, targetsOnce } = await answersOfStart(setup, request, feeding);
  const share = options.saliency ?? method.saliency ?? 1;
  const masks = share < 1 ? await saliencyMasks({ ...feeding, forget, share }) : {};
  const order = orderOf(setup, request, targetsOnce);
  const prepared = await prepareStep(setup, request, engine, masks, order);
  const { runner } = prepared;

  let forward: Promise<Forward> | undefined;
  return {
    compileSeconds: runner.compileSeconds,
    start,
    startState: mapValues(stateKeys.flat(prepared.start), ({ data }) => data),
    ...order,
    step: stepOf(setup, request, prepared, masks, teacher),
    read: () => runner.read(),
    write: (state) => runner.write(state),
    ...stateReaders(options),
    forward: () => {
      forward ??= prepareForward({
        ...feeding,
        rows: model.batching.kind === "split" ? rows : Math.min(FORWARD_ROWS, retain.count),
      });
      return forward;
    },
    async dispose() {
      await (await forward)?.dispose();
      await runner.dispose();
    },
  };
}
