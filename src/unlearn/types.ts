import type { Check } from "./watch.ts";

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
  type UnlearnOptions,
} from "./option-table.ts";

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
  /** Utility lost on validation data since the start, in the budget's unit; null where it was not measured after this step. */
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
  /** The learning rate that was used, where it was `auto` the one that was found, under a budget the first one. */
  readonly lr: number;
  /** Every look at the watched sets, in order; empty without a watch. */
  readonly checks: readonly Check[];
  /** With a budget or limits: states within them that forget enough, the best first, see `forgetsMore`. Without: the last state alone. */
  readonly candidates: readonly Candidate[];
}

/** A state of the run that may be exported. */
export interface Candidate {
  readonly step: number;
  /** The look that found it; undefined for the last state of a run without a watch. */
  readonly check?: Check;
  readonly weights: ReadonlyMap<string, Float32Array>;
}
