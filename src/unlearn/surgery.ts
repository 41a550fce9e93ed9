import { tf } from "../../converters/tf.ts";

/** max(0, wanted / normSquared), 0 where normSquared = 0; all scalars. */
export function projection(wanted: tf.Tensor, normSquared: tf.Tensor): tf.Scalar {
  const nonzero = tf.cast(tf.greater(normSquared, 0), "float32");
  const denominator = tf.add(normSquared, tf.sub(1, nonzero));
  return tf.mul(tf.relu(tf.div(wanted, denominator)), nonzero);
}

/**
 * λ* = max(0, (−⟨g_r, g_f⟩ − ε/η) / ‖g_r‖²), 0 where ‖g_r‖ = 0; all scalars.
 * docs/method.md, "Explicit gradient surgery".
 */
export const explicitLambda = (
  dot: tf.Tensor,
  retainNormSquared: tf.Tensor,
  epsilon: tf.Tensor,
  lr: tf.Tensor,
): tf.Scalar => projection(tf.sub(tf.neg(dot), tf.div(epsilon, lr)), retainNormSquared);

/** λ and, for Adam, its moments and the bias corrections 1 − βᵗ, which are carried as in `adamw`. */
export type DualState = Readonly<Record<string, tf.Tensor>>;

/** measured ? after : before, by selection: a NaN in the value that is not taken has no effect. */
const gate = (before: tf.Tensor, after: tf.Tensor, measured: tf.Tensor) =>
  tf.where(tf.greater(measured, 0), after, before);

export interface DualRule {
  /** Start values by name; λ₀ under `lambda`. */
  readonly init: (lambda: number) => Readonly<Record<string, number>>;
  /**
   * @param error rise − ε
   * @param measured float 1 or 0; 0, if no rise was measured, leaves the state as it is
   */
  readonly update: (state: DualState, error: tf.Tensor, measured: tf.Tensor, beta: number) => DualState;
}

const B1 = 0.9;
const B2 = 0.999;
const DECAY = 0.01;

/**
 * PyTorch's Adam on λ, which may go negative, as in the authors' code (docs/method.md, "Implicit gradient
 * surgery"): gradient −(rise − ε) + 0.01 λ, betas 0.9 and 0.999, eps 1e-8, learning rate β.
 */
export const dualAdam: DualRule = {
  init: (lambda) => ({ lambda, m: 0, v: 0, correction1: 0, correction2: 0 }),
  update: (state, error, measured, beta) => {
    const gradient = tf.sub(tf.mul(state.lambda!, DECAY), error);
    const m = tf.add(tf.mul(state.m!, B1), tf.mul(gradient, 1 - B1));
    const v = tf.add(tf.mul(state.v!, B2), tf.mul(tf.square(gradient), 1 - B2));
    const correction1 = tf.add(tf.mul(state.correction1!, B1), 1 - B1);
    const correction2 = tf.add(tf.mul(state.correction2!, B2), 1 - B2);
    const denominator = tf.add(tf.sqrt(tf.div(v, correction2)), 1e-8);
    const lambda = tf.sub(state.lambda!, tf.mul(tf.div(tf.div(m, correction1), denominator), beta));
    const after: DualState = { lambda, m, v, correction1, correction2 };
    return Object.fromEntries(Object.entries(after).map(([key, t]) => [key, gate(state[key]!, t, measured)]));
  },
};

/** λ' = [λ + β (rise − ε)]₊; docs/method.md, "Implicit gradient surgery". */
export const dualAscent: DualRule = {
  init: (lambda) => ({ lambda }),
  update: (state, error, measured, beta) => ({
    lambda: gate(state.lambda!, tf.relu(tf.add(state.lambda!, tf.mul(error, beta))), measured),
  }),
};

/** The options that a dual variable depends on. */
export interface DualOptions {
  readonly dual: "adam" | "ascent";
  /** Step size of λ. */
  readonly beta: number;
  /** λ₀; the method's own by default. */
  readonly lambda?: number;
}

export const dualRules: { readonly [D in DualOptions["dual"]]: DualRule } = {
  adam: dualAdam,
  ascent: dualAscent,
};
