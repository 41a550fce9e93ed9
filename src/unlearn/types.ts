import type { ForgetObjective } from "../tasks/task.ts";
import type { MethodDefinition } from "./methods/method.ts";
import type { ForgetObjectiveName, Method, OptionValues } from "./option-table.ts";

export {
  type Goal,
  LOSSES,
  type LossName,
  METHODS,
  type Method,
  type OptimizerName,
} from "./option-table.ts";

/** The options of a run; the method and the forget objective may be given by name or as an own definition. */
export interface UnlearnOptions extends Omit<OptionValues, "method" | "forgetObjective"> {
  readonly method: Method | MethodDefinition;
  readonly forgetObjective?: ForgetObjectiveName | ForgetObjective;
}

/** Options for a report: an own method is replaced by its name, an own objective by "own". */
export interface NamedOptions extends Omit<UnlearnOptions, "method" | "forgetObjective"> {
  readonly method: string;
  readonly forgetObjective?: string;
}

/** Progress of a training run after a step. */
export interface TrainingProgress {
  /** Steps done. */
  readonly step: number;
  /** Steps of the whole run. */
  readonly steps: number;
  /** Current epoch, counted from 1. */
  readonly epoch: number;
  readonly epochs: number;
  readonly entry: LedgerEntry;
}

/** Figures of one step. */
export interface LedgerEntry {
  readonly step: number;
  readonly forgetLoss: number | null;
  readonly retainLoss: number | null;
  /** log L_r(θ_{t+1}) − log L_r(θ_t) on the batch; null if it was not measured. */
  readonly batchRise: number | null;
  /**
   * Utility lost on validation data since the start, in the budget's unit; null if it was not measured after
   * this step.
   */
  readonly validationRise: number | null;
  readonly epsilon: number;
  /** The weight of the utility loss in this step, max(λ, 0); 0 for methods without a dual variable. */
  readonly lambda: number;
}

export interface TrainingResult {
  /** Trained weights by parameter name. */
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly ledger: readonly LedgerEntry[];
  readonly lambda: number;
  readonly steps: number;
  readonly seconds: number;
  readonly compileSeconds: number;
  readonly samplesPerSecond: number;
  /**
   * The learning rate. If the option was `auto`: the one that the range test found or, with a budget, the
   * first one.
   */
  readonly lr: number;
  /** Measurements of the watched sets, in order; empty without a watch. */
  readonly checks: readonly WatchFigures[];
  /**
   * States to export. With a budget or limits: the best ones within them that forget enough, best first (see
   * `forgetsMore`). Without: the last state only.
   */
  readonly candidates: readonly Candidate[];
}

/** A state of a run that may be exported. */
export interface Candidate {
  readonly step: number;
  /** Its measurement; undefined for the last state of a run without a budget or limits. */
  readonly check?: WatchFigures;
  readonly weights: ReadonlyMap<string, Float32Array>;
}

/** Measurement of the watched sets with the weights at one step. */
export interface WatchFigures {
  readonly step: number;
  readonly validationAccuracy: number;
  readonly validationLoss: number;
  readonly forgetAccuracy: number;
  readonly forgetLoss: number;
  /**
   * Utility lost on validation data since the start, in the budget's unit; without a budget, in the task's.
   */
  readonly spent: number;
  /** Accuracy of every further set that is watched, by its name. */
  readonly also: Readonly<Record<string, number>>;
  /** Whether the budget and every limit hold. */
  readonly within: boolean;
  /** Whether at least the minimum of forgetting is reached (the option `minForgetting`). */
  readonly forgets: boolean;
  /** The condition to stop that is met at this step. */
  readonly stop?: string;
}
