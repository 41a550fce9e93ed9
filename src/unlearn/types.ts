import type { EngineName } from "../engine/engine.ts";
import type { MethodDefinition } from "./methods/method.ts";
import type {
  EpsilonSchedule,
  ForgetObjectiveName,
  LearningRateSchedule,
  LossName,
  Method,
  OptimizerName,
} from "./names.ts";
import type { ForgetObjective } from "./objectives.ts";

export * from "./names.ts";

export interface UnlearnOptions {
  readonly method: Method | MethodDefinition;
  /** ε_t per step in the paper's sign, log-ratio units of the utility loss (METHOD: > 0 allows a rise). */
  readonly epsilon: number;
  /** How ε_t moves from `epsilon` to 0 over the run; undefined = constant. */
  readonly epsilonSchedule?: EpsilonSchedule;
  readonly dual: "adam" | "ascent";
  readonly beta: number;
  /** What is minimised on the forget set by the methods that leave the choice open; undefined = random-label, as the authors do. */
  readonly forgetObjective?: ForgetObjectiveName | ForgetObjective;
  /** The utility loss; undefined = cross-entropy. */
  readonly loss?: LossName;
  /** λ₀; undefined = the method's own (0; 1 for eupmu-fast). */
  readonly lambda?: number;
  readonly epochs: number;
  /** `auto`: under a budget found on the way, see pace.ts; else by a short range test on validation data, see learning-rate.ts. */
  readonly lr: number | "auto";
  /** undefined = constant. */
  readonly schedule?: LearningRateSchedule;
  /** Share of the run over which the learning rate rises from 0; undefined = none. */
  readonly warmup?: number;
  /** undefined = sgd. */
  readonly optimizer?: OptimizerName;
  readonly momentum: number;
  readonly weightDecay: number;
  /** Largest norm of all gradients together; undefined = not clipped. */
  readonly clipNorm?: number;
  /** Share of the weights that may change: those with the largest forget gradient at the start; undefined = the method's own (all; half for salun). */
  readonly saliency?: number;
  /** Settings of the chosen method by name, such as `alpha` of scrub; see each method's file. */
  readonly settings?: Readonly<Record<string, number>>;
  readonly batchSize: number;
  readonly seed: number;
  readonly threads?: number;
  readonly engine: EngineName;
}

/** Options as a report shows them: an own method or objective by its name. */
export interface NamedOptions extends Omit<UnlearnOptions, "method" | "forgetObjective"> {
  readonly method: string;
  readonly forgetObjective?: string;
}

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
  /** What the watched sets said, in order; empty without a watch. */
  readonly checks: readonly WatchFigures[];
  /** With a budget or limits: states within them that forget enough, the best first, see `forgetsMore`. Without: the last state alone. */
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
