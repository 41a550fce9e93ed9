import type { Tensors } from "../../converters/compile/step.ts";
import { tf } from "../../converters/tf.ts";

/** Weights, or one tensor for each of them such as its gradient, by parameter name. */
export type Weights = Readonly<Record<string, tf.Tensor>>;

/** Sum of all elements of `of` each weight, over all weights together. */
export const sumOver = (weights: Weights, of: (weight: tf.Tensor, name: string) => tf.Tensor): tf.Tensor =>
  Object.entries(weights)
    .map(([name, weight]): tf.Tensor => tf.sum(of(weight, name)))
    .reduce((sum, term) => tf.add(sum, term));

/** What an optimiser carries from step to step. */
export interface OptimizerState {
  /** By slot, such as `velocity`: a tensor for each weight, by the weight's name. */
  readonly slots: Readonly<Record<string, Weights>>;
  readonly scalars: Tensors;
}

export interface Optimizer {
  /** Names of the slots; each holds a tensor per weight, of its shape, that starts at zero. */
  readonly slots: readonly string[];
  /** Scalars and their start values. */
  readonly scalars: Readonly<Record<string, number>>;
  readonly update: (
    gradients: Weights,
    state: OptimizerState,
    weights: Weights,
    lr: tf.Tensor,
  ) => { readonly weights: Weights; readonly state: OptimizerState };
}

/** SGD as PyTorch defines it: g ← g + decay·θ; v ← momentum·v + g; θ ← θ − lr·v. */
export const sgd = (momentum: number, weightDecay: number): Optimizer => ({
  slots: momentum === 0 ? [] : ["velocity"],
  scalars: {},
  update(gradients, { slots }, weights, lr) {
    const velocity: Record<string, tf.Tensor> = {};
    const next: Record<string, tf.Tensor> = {};
    for (const [name, weight] of Object.entries(weights)) {
      let step = gradients[name]!;
      if (weightDecay !== 0) step = tf.add(step, tf.mul(weight, weightDecay));
      if (momentum !== 0) {
        step = tf.add(tf.mul(slots.velocity![name]!, momentum), step);
        velocity[name] = step;
      }
      next[name] = tf.sub(weight, tf.mul(step, lr));
    }
    const used: Record<string, Weights> = momentum === 0 ? {} : { velocity };
    return { weights: next, state: { slots: used, scalars: {} } };
  },
});

const B1 = 0.9;
const B2 = 0.999;

/**
 * AdamW as PyTorch defines it (Loshchilov & Hutter, ICLR 2019, https://arxiv.org/abs/1711.05101):
 * θ ← θ − lr·decay·θ, then θ ← θ − lr·m̂ / (√v̂ + 1e-8).
 * The bias corrections 1 − βᵗ are carried as a recursion, which avoids the cancellation of 1 − βᵗ in float32.
 */
export const adamw = (weightDecay: number): Optimizer => ({
  slots: ["first", "second"],
  scalars: { correction1: 0, correction2: 0 },
  update(gradients, { slots, scalars }, weights, lr) {
    const correction1 = tf.add(tf.mul(scalars.correction1!, B1), 1 - B1);
    const correction2 = tf.add(tf.mul(scalars.correction2!, B2), 1 - B2);
    const first: Record<string, tf.Tensor> = {};
    const second: Record<string, tf.Tensor> = {};
    const next: Record<string, tf.Tensor> = {};
    for (const [name, weight] of Object.entries(weights)) {
      const gradient = gradients[name]!;
      first[name] = tf.add(tf.mul(slots.first![name]!, B1), tf.mul(gradient, 1 - B1));
      second[name] = tf.add(tf.mul(slots.second![name]!, B2), tf.mul(tf.square(gradient), 1 - B2));
      const denominator = tf.add(tf.sqrt(tf.div(second[name]!, correction2)), 1e-8);
      const decayed = weightDecay === 0 ? weight : tf.mul(weight, tf.sub(1, tf.mul(lr, weightDecay)));
      next[name] = tf.sub(decayed, tf.mul(tf.div(tf.div(first[name]!, correction1), denominator), lr));
    }
    return { weights: next, state: { slots: { first, second }, scalars: { correction1, correction2 } } };
  },
});

export interface OptimizerOptions {
  /** undefined = sgd */
  readonly optimizer?: "sgd" | "adamw";
  /** Momentum of SGD, 0…1. */
  readonly momentum: number;
  readonly weightDecay: number;
}

export const optimizerOf = ({ optimizer = "sgd", momentum, weightDecay }: OptimizerOptions): Optimizer =>
  optimizer === "sgd" ? sgd(momentum, weightDecay) : adamw(weightDecay);

/** PyTorch's clip_grad_norm_: every gradient × min(1, limit / (‖g‖₂ + 1e-6)), ‖g‖₂ that of all together. */
export function clipByGlobalNorm(gradients: Weights, limit: number): Weights {
  const norm = tf.sqrt(sumOver(gradients, (g) => tf.square(g)));
  const factor = tf.minimum(tf.div(limit, tf.add(norm, 1e-6)), 1);
  return Object.fromEntries(Object.entries(gradients).map(([name, g]) => [name, tf.mul(g, factor)]));
}
