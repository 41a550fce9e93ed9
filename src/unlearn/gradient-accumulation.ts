import type { TensorSpec, Tensors } from "../../converters/compile/step.ts";
import { elementCount } from "../../converters/dims.ts";
import { tf } from "../../converters/tf.ts";
import type { Arrays, Engine, NumberArray, PrepareOptions, Runner } from "../engine/engine.ts";
import {
  type Carried,
  dualKeys,
  gradientKeys,
  mapValues,
  type Named,
  SCALAR,
  scalarOf,
  stateKeys,
  type TrainState,
  weightKeys,
} from "./state.ts";
import { riseOf, type StepContext, stepTools } from "./step.ts";

/** What a step over a batch in several parts is compiled from. */
export interface AccumulationRequest {
  readonly engine: Engine;
  readonly context: StepContext;
  readonly start: TrainState<Carried>;
  /** Arrays of the batch with one row per sample; the shapes are those of one part. */
  readonly sampleSpecs: Named<TensorSpec>;
  /** The other arrays of the batch. */
  readonly otherSpecs: Named<TensorSpec>;
  /** Number of parts of a batch. */
  readonly parts: number;
  readonly preparing: PrepareOptions;
}

/** Numbers of forget and retained samples of the whole batch; every part gets them (see `counts`). */
const COUNTS = { nForget: SCALAR, nRetain: SCALAR };
/** Scalars of the batch that the losses may depend on. */
const STEP_SCALARS = ["lr", "epsilon", "progress"];

const sum = (values: NumberArray) => Array.from(values).reduce((a, b) => a + b, 0);
const chosen = <T>(all: Named<T>, keys: readonly string[]): Record<string, T> =>
  Object.fromEntries(keys.map((key) => [key, all[key]!]));

/** Forward pass over a part: its contribution to both losses. */
const lossesOfPart = (context: StepContext) => {
  const { samplesOf, lossesAt } = stepTools(context);
  return (_: Tensors, batch: Tensors) => {
    const { forget, retain } = lossesAt(weightKeys.read(batch), samplesOf(batch));
    return { carry: {}, results: { forget, retain } };
  };
};

/** Forward and backward pass over a part: adds its gradients to those in the carry. */
const gradientsOfPart = (context: StepContext, parts: number) => {
  const { samplesOf, valuesOf, backward } = stepTools(context);
  return (sums: Tensors, batch: Tensors) => {
    const rest = { forget: batch.restForget as tf.Scalar, retain: batch.restRetain as tf.Scalar };
    const values = valuesOf(dualKeys.read(batch), batch);
    const { gradients } = backward(weightKeys.read(batch), samplesOf(batch, rest), values, parts);
    const added = Object.assign({}, ...gradients.map((gradient, i) => gradientKeys(i).flat(gradient)));
    return {
      carry: mapValues(sums, (sum, key) => tf.add(sum, added[key]!)),
      results: {},
    };
  };
};

/** The update of weights, optimizer and λ, from the losses and gradients of the whole batch. */
const updateOfBatch = (context: StepContext) => {
  const { countsOf, valuesOf, stateOf, update } = stepTools(context);
  return (carry: Tensors, batch: Tensors) => {
    const state = stateOf(carry);
    return update(state, batch, valuesOf(state.dual, batch), {
      counts: countsOf(batch),
      sides: { forget: batch.forget as tf.Scalar, retain: batch.retain as tf.Scalar },
      gradients: context.method.losses.map((_, i) => gradientKeys(i).read(batch)),
      retainAfter: () => batch.retainAfter!,
    });
  };
};

/**
 * Gradient accumulation: a method's step over batches that are too large for the graph, equal to the step
 * over the whole batch (docs/method.md, "Batches and gradient accumulation"). A step is a forward pass over
 * every part, then a forward and backward pass over every part, then the update; methods with a second
 * forward pass run it over every part at the new weights. The first pass gives the losses of the whole batch
 * before any gradient is taken, as a method may use their logarithms.
 */
export async function prepareAccumulated({
  engine,
  context,
  start,
  sampleSpecs,
  otherSpecs,
  parts,
  preparing,
}: AccumulationRequest): Promise<Runner> {
  const secondForward = riseOf(context.method) === "second-forward";
  const specsOf = (values: Named<Carried>) => mapValues(values, ({ spec }) => spec);
  const weightSpecs = specsOf(start.weights);
  const dualSpecs = dualKeys.flat(specsOf(start.dual));
  const samples = { ...sampleSpecs, ...COUNTS, ...weightKeys.flat(weightSpecs) };
  const gradientSpecs: Record<string, TensorSpec> = Object.assign(
    {},
    ...context.method.losses.map((_, i) => gradientKeys(i).flat(weightSpecs)),
  );
  const zeros = mapValues(gradientSpecs, ({ shape }) => new Float32Array(elementCount(shape)));

  const opened: Runner[] = [];
  const open = async (...request: Parameters<Engine["prepare"]>) => {
    const runner = await engine.prepare(...request);
    opened.push(runner);
    return runner;
  };
  const dispose = async () => {
    for (const runner of opened) await runner.dispose();
  };
  try {
    const forward = await open(lossesOfPart(context), {}, samples, preparing);
    const backward = await open(
      gradientsOfPart(context, parts),
      mapValues(gradientSpecs, (spec, key) => ({ spec, data: zeros[key]! })),
      {
        ...samples,
        ...dualSpecs,
        ...chosen(otherSpecs, STEP_SCALARS),
        restForget: SCALAR,
        restRetain: SCALAR,
      },
      preparing,
    );
    const update = await open(
      updateOfBatch(context),
      stateKeys.flat(start),
      {
        ...otherSpecs,
        ...gradientSpecs,
        ...{ ...COUNTS, forget: SCALAR, retain: SCALAR, retainAfter: SCALAR },
      },
      preparing,
    );

    const weightsOf = (state: Arrays) => weightKeys.flat(weightKeys.read(state));
    const partOf = (batch: Arrays, i: number): Record<string, NumberArray> =>
      mapValues(sampleSpecs, ({ shape }, key) => {
        const length = elementCount(shape);
        return batch[key]!.subarray(i * length, (i + 1) * length);
      });
    return {
      compileSeconds: opened.reduce((total, { compileSeconds }) => total + compileSeconds, 0),
      async run(batch) {
        const cut = Array.from({ length: parts }, (_, i) => partOf(batch, i));
        const counts = {
          nForget: scalarOf(sum(batch["forgetMask"]!)),
          nRetain: scalarOf(sum(batch["retainMask"]!)),
        };
        const lossesOf = async (at: Arrays, over: readonly Arrays[]) => {
          const each: { readonly forget: number; readonly retain: number }[] = [];
          for (const part of over) {
            const { forget, retain } = await forward.run({ ...part, ...counts, ...at });
            each.push({ forget: forget![0]!, retain: retain![0]! });
          }
          return {
            each,
            forget: each.reduce((total, { forget }) => total + forget, 0),
            retain: each.reduce((total, { retain }) => total + retain, 0),
          };
        };
        const state = await update.read();
        const before = await lossesOf(weightsOf(state), cut);
        await backward.write(zeros);
        for (const [i, part] of cut.entries())
          await backward.run({
            ...part,
            ...counts,
            ...weightsOf(state),
            ...chosen(state, Object.keys(dualSpecs)),
            ...chosen(batch, STEP_SCALARS),
            restForget: scalarOf(before.forget - before.each[i]!.forget),
            restRetain: scalarOf(before.retain - before.each[i]!.retain),
          });
        const outcome = {
          ...chosen(batch, Object.keys(otherSpecs)),
          ...counts,
          ...(await backward.read()),
          forget: scalarOf(before.forget),
          retain: scalarOf(before.retain),
        };
        const moved = await update.run({ ...outcome, retainAfter: scalarOf(before.retain) });
        if (!secondForward) return moved;
        // `retainAfter` is known only at the new weights: measure it there, then repeat the update with it.
        const retained = cut.filter(({ retainMask }) => sum(retainMask!) > 0);
        const after = await lossesOf(weightsOf(await update.read()), retained);
        await update.write(state);
        return update.run({ ...outcome, retainAfter: scalarOf(after.retain) });
      },
      read: () => update.read(),
      write: (state) => update.write(state),
      dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}
