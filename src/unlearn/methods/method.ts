import * as tf from "@tensorflow/tfjs-core";
import type { StepFunction, Tensors } from "../../../converters/compile/step.ts";
import { counts, type ForgetObjective, forgetObjectives, logLoss, sideLoss } from "../objectives.ts";
import { sgd, type Weights } from "../optimizer.ts";
import { dualRules } from "../surgery.ts";
import type { UnlearnOptions } from "../types.ts";

export type StepOptions = Pick<
  UnlearnOptions,
  "dual" | "beta" | "lambda" | "momentum" | "weightDecay" | "forgetObjective"
>;

export interface MethodContext {
  /** Trainable weights and model inputs → logits [N, C]. */
  readonly apply: (weights: Weights, inputs: Tensors) => tf.Tensor;
  /** Names of the trainable weights. */
  readonly trainable: readonly string[];
  readonly options: StepOptions;
}

/**
 * One way to unlearn, as a step over a mixed batch. The batch holds `x:<input>`, `labels` int32 [N], `forgetMask` and
 * `retainMask` float [N], and the scalars `lr` and `epsilon`. The carry holds `p:<weight>`, `v:<weight>`, `dual:<name>`.
 * Results are float scalars: forgetLoss, retainLoss (means over their own samples), hasForget, hasRetain, lambda,
 * and, where measured, rise with hasRise.
 */
export interface MethodDefinition {
  /** Which samples its batches are drawn from. */
  readonly uses: { readonly forget: boolean; readonly retain: boolean };
  readonly objective: (options: StepOptions) => ForgetObjective;
  /** Start values of the scalars it carries, without the `dual:` prefix. */
  readonly dual: (options: StepOptions) => Readonly<Record<string, number>>;
  readonly step: (context: MethodContext) => StepFunction;
}

export const chosenObjective = (options: StepOptions): ForgetObjective =>
  forgetObjectives[options.forgetObjective ?? "random-label"];

const under = (tensors: Tensors, prefix: string): Record<string, tf.Tensor> =>
  Object.fromEntries(
    Object.entries(tensors)
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, tensor]) => [key.slice(prefix.length), tensor]),
  );

const prefixed = (tensors: Tensors, prefix: string): Record<string, tf.Tensor> =>
  Object.fromEntries(Object.entries(tensors).map(([key, tensor]) => [prefix + key, tensor]));

export interface SideLosses {
  /** Each: mean over its own samples × its share of the batch. */
  readonly forget: tf.Scalar;
  readonly retain: tf.Scalar;
}

/** What every method's step works with; made anew for each call. */
export function stepTools({ apply, trainable, options }: MethodContext, objective: ForgetObjective) {
  const optimizer = sgd(options.momentum, options.weightDecay);
  return (carry: Tensors, batch: Tensors) => {
    const weights = Object.fromEntries(trainable.map((name) => [name, carry[`p:${name}`]!]));
    const dual = under(carry, "dual:");
    const inputs = under(batch, "x:");
    const labels = batch.labels!;
    const lr = batch.lr!;
    const epsilon = batch.epsilon!;
    const { nForget, nRetain, n, hasForget, hasRetain } = counts(batch);

    const losses = (at: Weights): SideLosses => {
      const logits = apply(at, inputs);
      return {
        forget: sideLoss(objective.perSample(logits, labels), batch.forgetMask!, n),
        retain: sideLoss(forgetObjectives["random-label"].perSample(logits, labels), batch.retainMask!, n),
      };
    };

    /** One forward and one backward pass; the side losses at the present weights come along. */
    const backward = (objectiveOf: (sides: SideLosses) => tf.Tensor) => {
      let seen: SideLosses | undefined;
      const { grads } = tf.valueAndGrads((...values: tf.Tensor[]) => {
        const sides = losses(Object.fromEntries(trainable.map((name, i) => [name, values[i]!])));
        seen = { forget: tf.keep(sides.forget), retain: tf.keep(sides.retain) };
        return objectiveOf(sides) as tf.Scalar;
      })(trainable.map((name) => weights[name]!));
      const kept = seen!;
      // Out of `keep` and back under the surrounding tidy.
      const sides = { forget: kept.forget.clone(), retain: kept.retain.clone() };
      tf.dispose([kept.forget, kept.retain]);
      return { sides, gradients: Object.fromEntries(trainable.map((name, i) => [name, grads[i]!])) };
    };

    const descend = (gradients: Weights) => optimizer.update(gradients, under(carry, "v:"), weights, lr);

    /** Log ratio of the utility loss after to before, on this batch; 0 without retained samples. */
    const measureRise = (after: Weights, before: SideLosses) =>
      tf.mul(tf.sub(logLoss(losses(after).retain), logLoss(before.retain)), hasRetain);

    const moveDual = (error: tf.Tensor, moved: tf.Tensor) =>
      dualRules[options.dual].update(dual, error, moved, options.beta);

    const finish = (
      next: { readonly weights: Weights; readonly velocity: Weights },
      sides: SideLosses,
      extra: { readonly lambda?: tf.Tensor; readonly rise?: tf.Tensor; readonly hasRise?: tf.Tensor } = {},
      nextDual: Tensors = {},
    ) => ({
      carry: {
        ...prefixed(next.weights, "p:"),
        ...prefixed(next.velocity, "v:"),
        ...prefixed(nextDual, "dual:"),
      },
      results: {
        forgetLoss: tf.div(tf.mul(sides.forget, n), tf.maximum(nForget, 1)),
        retainLoss: tf.div(tf.mul(sides.retain, n), tf.maximum(nRetain, 1)),
        hasForget,
        hasRetain,
        lambda: tf.scalar(0),
        ...extra,
      },
    });

    return {
      dual,
      weights,
      lr,
      epsilon,
      hasForget,
      hasRetain,
      backward,
      descend,
      measureRise,
      moveDual,
      finish,
    };
  };
}

/** Starting scalars of the chosen dual rule. */
export const startDual = (options: StepOptions, lambda: number) =>
  dualRules[options.dual].init(options.lambda ?? lambda);

/** The forget loss as it enters a logged objective: logged only where the objective allows it. */
export const maybeLogged = (objective: ForgetObjective, loss: tf.Tensor): tf.Tensor =>
  objective.loggable ? logLoss(loss) : loss;

/** A baseline without surgery: one backward pass of a plain sum. */
export const plainMethod = (
  uses: MethodDefinition["uses"],
  objective: ForgetObjective,
  total: (sides: SideLosses) => tf.Tensor,
): MethodDefinition => ({
  uses,
  objective: () => objective,
  dual: () => ({}),
  step: (context) => {
    const tools = stepTools(context, objective);
    return (carry, batch) => {
      const { backward, descend, finish } = tools(carry, batch);
      const { sides, gradients } = backward(total);
      return finish(descend(gradients), sides);
    };
  },
});
