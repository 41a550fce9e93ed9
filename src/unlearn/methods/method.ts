import type { Tensors } from "../../../converters/compile/step.ts";
import { tf } from "../../../converters/tf.ts";
import type { ForgetObjective, ForgetObjectiveName } from "../../tasks/task.ts";
import { logLoss } from "../objectives.ts";
import { sumOver, type Weights } from "../optimizer.ts";
import { type DualOptions, dualRules } from "../surgery.ts";

/** A number that belongs to one method, given as `settings: { <name>: value }` of the options. */
export interface Setting {
  /** The default. */
  readonly value: number;
  readonly minimum: number;
  readonly maximum: number;
  /** One line for messages and help. */
  readonly what: string;
}

/** The losses of one batch at some weights, as tensors to differentiate with respect to the weights. */
export interface SideLosses {
  /**
   * Forget objective and utility loss, each summed over the samples of its side and divided by the samples of
   * the whole batch; 0 where the side has none.
   */
  readonly forget: tf.Scalar;
  readonly retain: tf.Scalar;
  /** The same losses as means over the samples of their side; 0 where it has none. */
  readonly forgetMean: tf.Scalar;
  readonly retainMean: tf.Scalar;
  /** float [N, outputs] */
  readonly logits: tf.Tensor;
  /**
   * Mean of any per-sample value, float [N], over the samples of one side or of both; 0 if there are none.
   */
  readonly mean: (over: "forget" | "retain" | "all", perSample: tf.Tensor) => tf.Scalar;
}

/**
 * Values that are the same for all weights within a step. Tensors are float scalars, except the teacher's.
 */
export interface StepValues {
  /** The weight of the utility loss: max(λ, 0) where the method has a dual variable, else 0. */
  readonly lambda: tf.Tensor;
  /** Learning rate of the step. */
  readonly lr: tf.Tensor;
  /** ε_t: by how much log L_r may rise in this step. */
  readonly epsilon: tf.Tensor;
  /** Share of the run that is done, 0…1. */
  readonly progress: tf.Tensor;
  /** What is minimised on the forget samples. */
  readonly objective: ForgetObjective;
  /** Value of one of the method's settings. */
  readonly setting: (name: string) => number;
  /** Logits of the teacher, float [N, outputs], where the method has one. */
  readonly teacher: tf.Tensor | undefined;
}

/** A function that a step differentiates with respect to the weights, given the losses at these weights. */
export type StepLoss = (sides: SideLosses, step: StepValues) => tf.Tensor;

/** The direction of a step. */
export interface Combined {
  /** What the optimizer takes as the gradient, and so subtracts. */
  readonly gradient: Weights;
  /** The weight of the utility loss, if it was decided here; for the ledger. */
  readonly lambda?: tf.Tensor;
}

/** A dual variable that is carried from step to step and updated by the measured rise of the utility loss. */
export interface DualVariable {
  /** Start values of its scalars by name. `lambda` is λ itself, which may be negative. */
  readonly start: (options: DualOptions) => Readonly<Record<string, number>>;
  /**
   * Updates the scalars after a step.
   * @param error (measured rise of log L_r) − ε_t
   * @param measured 1 if a rise was measured; 0 if not, and then no scalar may change
   * @returns the scalars for the next step, by the names of `start`
   */
  readonly update: (state: Tensors, error: tf.Tensor, measured: tf.Tensor, options: DualOptions) => Tensors;
}

/**
 * One way to unlearn: which losses are differentiated, how their gradients are combined, and how a dual
 * variable is updated. The losses are always those of the whole batch, even where it goes through the graph
 * in parts, so a method need not know about parts.
 */
export interface MethodDefinition {
  readonly name: string;
  /** URL of the paper it comes from. */
  readonly source?: string;
  /** Which samples its batches are drawn from. */
  readonly uses: { readonly forget: boolean; readonly retain: boolean };
  /**
   * `mixed` (default): batches of the shuffled union of both sides. `forget-then-retain`: an epoch is a pass
   * over the forget samples, then one over the retained samples. Only the first `forgetEpochs` epochs, a
   * setting that the method must declare, have the former.
   */
  readonly batches?: "mixed" | "forget-then-retain";
  /**
   * Whose logits the losses get as the teacher's. `start`: the start model's. `ruined-on-forget`: on retained
   * samples the start model's, on forget samples those of the start model with shuffled weights.
   */
  readonly teacher?: "start" | "ruined-on-forget";
  /**
   * Default of the option `saliency`: the share of the weights, in (0, 1], that may change, namely those with
   * the largest forget gradient.
   */
  readonly saliency?: number;
  readonly settings?: Readonly<Record<string, Setting>>;
  /**
   * The forget objective, if the method fixes it; `utility` is the utility loss on the samples' own truth.
   * undefined: the option `forgetObjective` chooses.
   */
  readonly objective?: ForgetObjectiveName | "utility" | ForgetObjective;
  /** What is differentiated with respect to the weights, one backward pass each. */
  readonly losses: readonly [StepLoss, ...StepLoss[]];
  /** A term that depends on the weights only, added to the first loss once per batch. */
  readonly penalty?: (weights: Weights, step: StepValues) => tf.Tensor;
  /**
   * Combines the gradients of all losses, in their order, into the step's direction; default: the first one.
   */
  readonly combine?: (gradients: readonly [Weights, ...Weights[]], step: StepValues) => Combined;
  /**
   * How the rise of log L_r in a step is measured. `second-forward`: log L_r of the same batch at the new
   * weights minus that at the old ones. `last-batch`: log L_r of this batch minus that of the last batch that
   * had retained samples. undefined: `second-forward` if there is a dual variable, else not at all.
   */
  readonly rise?: "second-forward" | "last-batch";
  readonly dual?: DualVariable;
}

/**
 * λ, updated by the rule of the options `dual` and `beta`; it starts at the option `lambda`, or else at λ₀.
 */
export const dualVariable = (lambda0: number): DualVariable => ({
  start: (options) => dualRules[options.dual].init(options.lambda ?? lambda0),
  update: (state, error, measured, options) =>
    dualRules[options.dual].update(state, error, measured, options.beta),
});

/** ⟨a, b⟩ over all weights together. */
export const inner = (a: Weights, b: Weights): tf.Tensor =>
  sumOver(a, (values, name) => tf.mul(values, b[name]!));

/** a + factor·b, weight by weight. */
export const plus = (a: Weights, b: Weights, factor: tf.Tensor): Weights =>
  Object.fromEntries(Object.keys(a).map((name) => [name, tf.add(a[name]!, tf.mul(b[name]!, factor))]));

/** log of the forget loss where the objective is loggable, else the loss itself. */
export const maybeLogged = ({ loggable }: ForgetObjective, loss: tf.Tensor): tf.Tensor =>
  loggable ? logLoss(loss) : loss;
