import type { Tensors } from "../../../converters/compile/step.ts";
import { tf } from "../../../converters/tf.ts";
import type { ForgetObjectiveName } from "../../tasks/task.ts";
import { type ForgetObjective, logLoss } from "../objectives.ts";
import type { Weights } from "../optimizer.ts";
import { type DualOptions, dualRules } from "../surgery.ts";

/** A number that belongs to one method, given as `settings: { <name>: value }` of the options. */
export interface Setting {
  /** Where none is given. */
  readonly value: number;
  readonly minimum: number;
  readonly maximum: number;
  /** One line for messages and help. */
  readonly what: string;
}

/** The losses of one batch at some weights, as tensors to differentiate with respect to the weights. */
export interface SideLosses {
  /** Forget objective and utility loss: mean over own samples × their share of the batch; 0 without any. */
  readonly forget: tf.Scalar;
  readonly retain: tf.Scalar;
  /** Each the mean over its own samples; 0 without any. */
  readonly forgetMean: tf.Scalar;
  readonly retainMean: tf.Scalar;
  /** float [N, outputs] */
  readonly logits: tf.Tensor;
  /** Mean of something else, float [N], over the samples of one side or of both; 0 without any. */
  readonly mean: (over: "forget" | "retain" | "all", perSample: tf.Tensor) => tf.Scalar;
}

/** What holds for one step, whatever the weights. All tensors are float scalars, but for the teacher's. */
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

/** A function of the weights that a step differentiates, made of the losses at these weights. */
export type StepLoss = (sides: SideLosses, step: StepValues) => tf.Tensor;

/** The direction of a step: the optimizer subtracts it. */
export interface Combined {
  readonly gradient: Weights;
  /** The weight of the utility loss where the combination decides it, for the ledger. */
  readonly lambda?: tf.Tensor;
}

/** A dual variable that is carried from step to step and corrected by what the utility loss did. */
export interface DualVariable {
  /** Start values of its scalars by name; λ itself, which may be negative, under `lambda`. */
  readonly start: (options: DualOptions) => Readonly<Record<string, number>>;
  /**
   * Moves the scalars after a step.
   * @param error measured rise of log L_r − ε_t
   * @param measured 1 where there was a rise to measure, else 0: then nothing may move
   * @returns the scalars for the next step, by the names of `start`
   */
  readonly update: (state: Tensors, error: tf.Tensor, measured: tf.Tensor, options: DualOptions) => Tensors;
}

/**
 * One way to unlearn: which losses are differentiated, how their gradients combine, and how a dual variable
 * follows. A batch may go through the graph whole or in parts; the losses are those of the whole batch either
 * way, so a method need not know.
 */
export interface MethodDefinition {
  readonly name: string;
  /** Address of the paper it comes from. */
  readonly source?: string;
  /** Which samples its batches are drawn from. */
  readonly uses: { readonly forget: boolean; readonly retain: boolean };
  /**
   * `mixed` (default): batches of the shuffled union of both sides. `forget-then-retain`: an epoch is a pass
   * over the forget samples, in the first `forgetEpochs` epochs (a setting the method must then have), and
   * one over the retained samples.
   */
  readonly batches?: "mixed" | "forget-then-retain";
  /**
   * Whose logits the losses get for each sample: the start model's, or with `ruined-on-forget`, on forget
   * samples, those of a model that knows nothing.
   */
  readonly teacher?: "start" | "ruined-on-forget";
  /**
   * Share of the weights that may change, in (0, 1], where the options do not say: those with the largest
   * forget gradient.
   */
  readonly saliency?: number;
  readonly settings?: Readonly<Record<string, Setting>>;
  /**
   * The forget objective where the method has its own; `utility`: the utility loss on own targets.
   * undefined: the option `forgetObjective` chooses.
   */
  readonly objective?: ForgetObjectiveName | "utility" | ForgetObjective;
  /** What is differentiated with respect to the weights, one backward pass each. */
  readonly losses: readonly [StepLoss, ...StepLoss[]];
  /** A term of the weights alone, added to the first loss once per batch. */
  readonly penalty?: (weights: Weights, step: StepValues) => tf.Tensor;
  /** From the gradients of all losses, in their order, to the step's direction; default: the first one. */
  readonly combine?: (gradients: readonly [Weights, ...Weights[]], step: StepValues) => Combined;
  /**
   * How the rise of log L_r is measured: `second-forward`, on this batch at the new weights; `last-batch`,
   * against the last batch that had retained samples. undefined: not at all, unless there is a dual variable
   * (then `second-forward`).
   */
  readonly rise?: "second-forward" | "last-batch";
  readonly dual?: DualVariable;
}

/** λ by the rule that the options choose (`dual`, `beta`), starting where they say or at λ₀. */
export const dualVariable = (lambda0: number): DualVariable => ({
  start: (options) => dualRules[options.dual].init(options.lambda ?? lambda0),
  update: (state, error, measured, options) =>
    dualRules[options.dual].update(state, error, measured, options.beta),
});

/** ⟨a, b⟩ over all weights together. */
export const inner = (a: Weights, b: Weights): tf.Tensor =>
  Object.keys(a)
    .map((name): tf.Tensor => tf.sum(tf.mul(a[name]!, b[name]!)))
    .reduce((sum, term) => tf.add(sum, term));

/** a + factor·b, weight by weight. */
export const plus = (a: Weights, b: Weights, factor: tf.Tensor): Weights =>
  Object.fromEntries(Object.keys(a).map((name) => [name, tf.add(a[name]!, tf.mul(b[name]!, factor))]));

/** The forget loss as it enters a logged objective: logged only where the objective allows it. */
export const maybeLogged = ({ loggable }: ForgetObjective, loss: tf.Tensor): tf.Tensor =>
  loggable ? logLoss(loss) : loss;
