import type { StepFunction, Tensors } from "../../converters/compile/step.ts";
import { tf } from "../../converters/tf.ts";
import type { ForgetObjective } from "../tasks/task.ts";
import type { Combined, MethodDefinition, SideLosses, StepValues } from "./methods/method.ts";
import type { GraphParameter } from "./model.ts";
import { counts, logLoss, ownTargets, sideLoss } from "./objectives.ts";
import { clipByGlobalNorm, optimizerOf, type Weights } from "./optimizer.ts";
import {
  type Carried,
  inputKeys,
  mapValues,
  maskKeys,
  type Named,
  SCALAR,
  scalarOf,
  stateKeys,
  type TrainState,
} from "./state.ts";
import type { UnlearnOptions } from "./types.ts";

/** The options that a step's graph depends on. */
export type StepOptions = Pick<
  UnlearnOptions,
  "dual" | "beta" | "lambda" | "optimizer" | "momentum" | "weightDecay" | "clipNorm" | "loss" | "settings"
>;

/** What a step is built from. */
export interface StepContext {
  readonly method: MethodDefinition;
  readonly objective: ForgetObjective;
  readonly options: StepOptions;
  /** The model: trainable weights and inputs → float [N, outputs]. */
  readonly apply: (weights: Weights, inputs: Tensors) => tf.Tensor;
  /** Names of the trainable weights. */
  readonly trainable: readonly string[];
  /**
   * The retained samples of every batch are among its first `retainRows` rows, so the second forward pass,
   * which needs only their loss, leaves out the other rows. undefined: it runs over all rows.
   */
  readonly retainRows?: number;
}

/** Value of a method's setting: the one in the options, or its default. */
export const settingOf = (
  { name: method, settings = {} }: Pick<MethodDefinition, "name" | "settings">,
  options: Pick<StepOptions, "settings">,
  name: string,
): number => {
  const setting = settings[name];
  if (!setting) throw new Error(`the method ${method} declares no setting "${name}"`);
  return options.settings?.[name] ?? setting.value;
};

/** How the rise of the utility loss is measured, see {@link MethodDefinition.rise}. */
export const riseOf = ({ rise, dual }: MethodDefinition): MethodDefinition["rise"] =>
  rise ?? (dual ? "second-forward" : undefined);

/**
 * Scalars that `last-batch` carries: log L_r of the last batch with retained samples; 1 once there was one.
 */
const LAST_BATCH = { previous: 0, seen: 0 };

/** Start values of the scalars that a method carries, those of `last-batch` included. */
export const startOfDual = (
  method: MethodDefinition,
  options: StepOptions,
): Readonly<Record<string, number>> => ({
  ...method.dual?.start(options),
  ...(riseOf(method) === "last-batch" ? LAST_BATCH : {}),
});

/** The state of a run at its start: weights, optimizer and dual variable. */
export function startState(
  method: MethodDefinition,
  options: StepOptions,
  parameters: readonly Omit<GraphParameter, "trainable">[],
): TrainState<Carried> {
  const optimizer = optimizerOf(options);
  const like = (dataOf: (data: Float32Array) => Float32Array) =>
    Object.fromEntries(
      parameters.map(({ name, dims, data }) => [
        name,
        { spec: { shape: dims, dtype: "float32" } as const, data: dataOf(data) },
      ]),
    );
  const scalars = (values: Named<number>) =>
    mapValues(values, (value) => ({ spec: SCALAR, data: scalarOf(value) }));
  return {
    weights: like((data) => data),
    slots: Object.fromEntries(
      optimizer.slots.map((slot) => [slot, like((data) => new Float32Array(data.length))]),
    ),
    scalars: scalars(optimizer.scalars),
    dual: scalars(startOfDual(method, options)),
  };
}

/** The losses of both sides that an update and the ledger need. */
export type Sides = Pick<SideLosses, "forget" | "retain">;

type Counts = ReturnType<typeof counts>;

/** The samples of a batch, or of a part of one. */
interface Samples {
  readonly batch: Tensors;
  readonly inputs: Tensors;
  readonly counts: Counts;
  /** Contribution of the other parts of the batch to both losses. */
  readonly rest?: Sides | undefined;
}

/** Figures of a whole batch at the current weights. */
interface BatchOutcome {
  readonly counts: Counts;
  readonly sides: Sides;
  readonly gradients: readonly Weights[];
  /** The retain loss of the same batch at other weights. */
  readonly retainAfter: (weights: Weights) => tf.Tensor;
}

/**
 * The functions that a step is composed of, for whole batches or parts. A batch holds `x:<input>`, `labels`,
 * `forgetMask`, `retainMask`, the scalars `lr`, `epsilon` and `progress`; also `teacher` float [N, outputs]
 * if the method has a teacher, and `mask:<weight>` bool for weights of which only some elements may change.
 */
export function stepTools({ method, objective, options, apply, trainable, retainRows }: StepContext) {
  const optimizer = optimizerOf(options);
  const utility = ownTargets(options.loss ?? "cross-entropy");
  const rising = riseOf(method);

  const samplesOf = (batch: Tensors, rest?: Sides): Samples => ({
    ...{ batch, rest, inputs: inputKeys.read(batch), counts: counts(batch) },
  });

  const valuesOf = (dual: Tensors, batch: Tensors): StepValues => ({
    lambda: method.dual ? tf.relu(dual.lambda!) : tf.scalar(0),
    lr: batch.lr!,
    epsilon: batch.epsilon!,
    progress: batch.progress!,
    objective,
    setting: (name) => settingOf(method, options, name),
    teacher: batch.teacher,
  });

  const lossesAt = (at: Weights, { batch, inputs, counts, rest }: Samples): SideLosses => {
    const [labels, forgetMask, retainMask] = [batch.labels!, batch.forgetMask!, batch.retainMask!];
    const { nForget, nRetain, n } = counts;
    const logits = apply(at, inputs);
    // The value is that of the whole batch, the gradient that of this part, as the others' losses are
    // constants. Summed over the parts, it is the gradient of any function of both losses.
    const whole = (part: tf.Scalar, others: tf.Tensor | undefined) =>
      (others ? tf.add(part, others) : part) as tf.Scalar;
    const forgetEach = objective.perSample(logits, labels);
    // If both sides have the same loss, one tensor serves both and is differentiated once.
    const retainEach =
      objective.perSample === utility.perSample ? forgetEach : utility.perSample(logits, labels);
    const forget = whole(sideLoss(forgetEach, forgetMask, n), rest?.forget);
    const retain = whole(sideLoss(retainEach, retainMask, n), rest?.retain);
    return {
      forget,
      retain,
      forgetMean: tf.div(tf.mul(forget, n), tf.maximum(nForget, 1)),
      retainMean: tf.div(tf.mul(retain, n), tf.maximum(nRetain, 1)),
      logits,
      mean: (over, perSample) =>
        over === "forget"
          ? sideLoss(perSample, forgetMask, tf.maximum(nForget, 1))
          : over === "retain"
            ? sideLoss(perSample, retainMask, tf.maximum(nRetain, 1))
            : sideLoss(perSample, tf.add(forgetMask, retainMask), n),
    };
  };

  /** One forward and one backward pass: the gradient, and the side losses at these weights. */
  const differentiate = (
    loss: (sides: SideLosses, at: Weights) => tf.Tensor,
    weights: Weights,
    samples: Samples,
  ) => {
    let seen: Sides | undefined;
    const { grads } = tf.valueAndGrads((...values: tf.Tensor[]) => {
      const at = Object.fromEntries(trainable.map((name, i) => [name, values[i]!]));
      const sides = lossesAt(at, samples);
      seen = { forget: tf.keep(sides.forget), retain: tf.keep(sides.retain) };
      return loss(sides, at) as tf.Scalar;
    })(trainable.map((name) => weights[name]!));
    const { forget, retain } = seen!;
    // `keep` takes the losses out of the inner tidy; clones are disposed of by the surrounding one.
    const sides: Sides = { forget: forget.clone(), retain: retain.clone() };
    tf.dispose([forget, retain]);
    return { sides, gradient: Object.fromEntries(trainable.map((name, i) => [name, grads[i]!])) };
  };

  /** @param parts of the batch; each adds its share of the penalty, which counts once per batch */
  const backward = (weights: Weights, samples: Samples, values: StepValues, parts = 1) => {
    const { penalty } = method;
    const penaltyAt = (at: Weights) =>
      parts === 1 ? penalty!(at, values) : tf.mul(penalty!(at, values), 1 / parts);
    const passes = method.losses.map((loss, i) =>
      differentiate(
        (sides, at) =>
          penalty && i === 0 ? tf.add(loss(sides, values), penaltyAt(at)) : loss(sides, values),
        weights,
        samples,
      ),
    );
    return { sides: passes[0]!.sides, gradients: passes.map(({ gradient }) => gradient) };
  };

  /** Clips the gradient and updates the weights. Masked elements keep every bit, even under weight decay. */
  const descend = (gradient: Weights, state: TrainState<tf.Tensor>, batch: Tensors) => {
    const masks = maskKeys.read(batch);
    const masked = mapValues(gradient, (g, name) =>
      masks[name] ? tf.where(masks[name]!, g, tf.zerosLike(g)) : g,
    );
    const clipped = options.clipNorm === undefined ? masked : clipByGlobalNorm(masked, options.clipNorm);
    const moved = optimizer.update(clipped, state, state.weights, batch.lr!);
    return {
      ...moved.state,
      weights: mapValues(moved.weights, (w, name) =>
        masks[name] ? tf.where(masks[name]!, w, state.weights[name]!) : w,
      ),
    };
  };

  /** The retain loss of these samples, without the forget loss. */
  const retainLossAt = (at: Weights, samples: Samples): tf.Scalar => {
    if (retainRows === undefined) return lossesAt(at, samples).retain;
    const head = (tensor: tf.Tensor) => tf.slice(tensor, 0, retainRows);
    const { batch, inputs, counts } = samples;
    const logits = apply(at, mapValues(inputs, head));
    return sideLoss(utility.perSample(logits, head(batch.labels!)), head(batch.retainMask!), counts.n);
  };

  /**
   * Measures the rise of the utility loss as the method asks: `rise`, 0 if there was nothing to compare;
   * `hasRise`, 1 or 0, whether there was; and scalars to carry to the next step.
   */
  const measureRise = (
    { retain }: Sides,
    dual: Tensors,
    hasRetain: tf.Tensor,
    retainAfter: () => tf.Tensor,
  ) => {
    if (rising === undefined) return undefined;
    if (rising === "second-forward") {
      const after = retainAfter();
      const rise = tf.mul(tf.sub(logLoss(after), logLoss(retain)), hasRetain);
      return { rise, hasRise: hasRetain, carried: {} };
    }
    const now = logLoss(retain);
    const { previous, seen } = dual as Record<keyof typeof LAST_BATCH, tf.Tensor>;
    const since = tf.sub(now, previous);
    const hasRise = tf.mul(hasRetain, seen);
    const carried: Record<keyof typeof LAST_BATCH, tf.Tensor> = {
      previous: tf.add(previous, tf.mul(hasRetain, since)),
      seen: tf.maximum(seen, hasRetain),
    };
    return { rise: tf.mul(since, hasRise), hasRise, carried };
  };

  /** The next state and the step's figures, from the figures of a whole batch. */
  const update = (
    state: TrainState<tf.Tensor>,
    batch: Tensors,
    values: StepValues,
    { counts: { nForget, nRetain, n, hasForget, hasRetain }, sides, gradients, retainAfter }: BatchOutcome,
  ): ReturnType<StepFunction> => {
    const [first, ...others] = gradients;
    const { gradient, lambda = values.lambda }: Combined = method.combine?.([first!, ...others], values) ?? {
      gradient: first!,
    };
    const moved = descend(gradient, state, batch);
    const measured = measureRise(sides, state.dual, hasRetain, () => retainAfter(moved.weights));
    const { rise, hasRise, carried } = measured ?? {};
    const dual = rise && method.dual?.update(state.dual, tf.sub(rise, values.epsilon), hasRise!, options);
    return {
      carry: stateKeys.flat({ ...moved, dual: { ...dual, ...carried } }),
      results: {
        forgetLoss: tf.div(tf.mul(sides.forget, n), tf.maximum(nForget, 1)),
        retainLoss: tf.div(tf.mul(sides.retain, n), tf.maximum(nRetain, 1)),
        hasForget,
        hasRetain,
        lambda,
        ...(rise ? { rise, hasRise: hasRise! } : {}),
      },
    };
  };

  return {
    countsOf: counts,
    samplesOf,
    valuesOf,
    stateOf: (carry: Tensors) => stateKeys.read(carry, optimizer.slots),
    lossesAt,
    backward,
    retainLossAt,
    update,
  };
}

/** A method's step over a whole batch: a forward and backward pass per loss, the update, a second forward. */
export const wholeBatchStep = (context: StepContext): StepFunction => {
  const { samplesOf, stateOf, valuesOf, backward, retainLossAt, update } = stepTools(context);
  return (carry, batch) => {
    const state = stateOf(carry);
    const samples = samplesOf(batch);
    const values = valuesOf(state.dual, batch);
    return update(state, batch, values, {
      counts: samples.counts,
      ...backward(state.weights, samples, values),
      retainAfter: (weights) => retainLossAt(weights, samples),
    });
  };
};
