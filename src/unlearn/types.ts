import type { MethodDefinition } from "./methods/method.ts";
import type { ForgetObjective } from "./objectives.ts";
import type { ForgetObjectiveName, Method, OptionValues } from "./option-table.ts";

export {
  EPSILON_SCHEDULES,
  type EpsilonSchedule,
  FORGET_OBJECTIVES,
  type ForgetObjectiveName,
  GOALS,
  type Goal,
  LEARNING_RATE_SCHEDULES,
  type LearningRateSchedule,
  LOSSES,
  type LossName,
  METHODS,
  type Method,
  OPTIMIZERS,
  type OptimizerName,
} from "./option-table.ts";

/** The options of the table; from the library, method and objective may also be the caller's own. */
export interface UnlearnOptions extends Omit<OptionValues, "method" | "forgetObjective"> {
  readonly method: Method | MethodDefinition;
  readonly forgetObjective?: ForgetObjectiveName | ForgetObjective;
}

/** Options as a report shows them: an own method or objective by its name. */
export interface NamedOptions extends Omit<UnlearnOptions, "method" | "forgetObjective"> {
  readonly method: string;
  readonly forgetObjective?: string;
}

/** Where a training stands after a step. */
export interface TrainingProgress {
  /** Steps done, of `steps`. */
  readonly step: number;
  readonly steps: number;
  /** From 1. */
  readonly epoch: number;
  readonly epochs: number;
  readonly entry: LedgerEntry;
}

/** One line of the ledger. */
export interface LedgerEntry {
  readonly step: number;
  readonly forgetLoss: number | null;
  readonly retainLoss: number | null;
  /** log L_r(θ_{t+1}) − log L_r(θ_t) on the batch; null where it was not measured. */
  readonly batchRise: number | null;
  /**
   * Utility lost on validation data since the start, in the budget's unit; null where it was not measured
   * after this step.
   */
  readonly validationRise: number | null;
  readonly epsilon: number;
  /** max(λ, 0) as used in this step; 0 for methods without one. */
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
   * The learning rate that was used, where it was `auto` the one that was found, under a budget the first
   * one.
   */
  readonly lr: number;
  /** What the watched sets said, in order; empty without a watch. */
  readonly checks: readonly WatchFigures[];
  /**
   * With a budget or limits: states within them that forget enough, the best first, see `forgetsMore`.
   * Without: the last state alone.
   */
  readonly candidates: readonly Candidate[];
}

/** A state of the run that may be exported. */
export interface Candidate {
  readonly step: number;
  /** What the watched sets said of it; undefined for the last state of a run without a watch. */
  readonly check?: WatchFigures;
  readonly weights: ReadonlyMap<string, Float32Array>;
}

/** What the watched sets say of the running weights at one step, against the start. */
export interface WatchFigures {
  readonly step: number;
  readonly validationAccuracy: number;
  readonly validationLoss: number;
  readonly forgetAccuracy: number;
  readonly forgetLoss: number;
  /** Utility lost on validation data, in the budget's unit; in accuracy where there is no budget. */
  readonly spent: number;
  /** Accuracy of every other set that is watched, by its name. */
  readonly also: Readonly<Record<string, number>>;
  /** Within the budget and every limit. */
  readonly within: boolean;
  /** Forgets at least the stated minimum. */
  readonly forgets: boolean;
  /** The condition that ends the run here. */
  readonly stop?: string;
}
