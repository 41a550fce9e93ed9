import type { EngineName } from "../engine/engine.ts";
import type { Check } from "./watch.ts";

// Lists, not only types: the command line offers them without loading the methods themselves.
export const METHODS = [
  "eupmu",
  "eupmu-fast",
  "explicit",
  "finetune",
  "gradient-ascent",
  "neggrad-plus",
  "random-label",
  "salun",
  "l1-sparse",
  "scrub",
  "bad-teacher",
  "pcgrad",
] as const;
/** An unlearning method by its name; docs/method.md, "Baselines", has their sources. */
export type Method = (typeof METHODS)[number];

export const LOSSES = ["cross-entropy", "binary-cross-entropy", "mse"] as const;
/** The utility loss, and with it what `y` holds: classes, bits, or values. */
export type LossName = (typeof LOSSES)[number];

export const FORGET_OBJECTIVES = ["random-label", "bounded-ascent", "uniform", "likely-other"] as const;
export type ForgetObjectiveName = (typeof FORGET_OBJECTIVES)[number];

export const LEARNING_RATE_SCHEDULES = ["constant", "cosine"] as const;
export type LearningRateSchedule = (typeof LEARNING_RATE_SCHEDULES)[number];

export const EPSILON_SCHEDULES = ["constant", "linear", "cosine"] as const;
export type EpsilonSchedule = (typeof EPSILON_SCHEDULES)[number];

export const OPTIMIZERS = ["sgd", "adamw"] as const;
export type OptimizerName = (typeof OPTIMIZERS)[number];

export const GOALS = ["unseen", "gone"] as const;
/**
 * What a forgotten sample should look like: `unseen`, like data the model never saw (a person's random samples), or
 * `gone`, never given its label again (a class, a poisoned batch).
 */
export type Goal = (typeof GOALS)[number];

/** How the training runs. Symbols as in docs/method.md. */
export interface UnlearnOptions {
  readonly method: Method;
  /** ε_t per step in the paper's sign, log-ratio units of the utility loss (METHOD: > 0 allows a rise). */
  readonly epsilon: number;
  /** How ε_t moves from `epsilon` to 0 over the run; undefined = constant. */
  readonly epsilonSchedule?: EpsilonSchedule;
  readonly dual: "adam" | "ascent";
  readonly beta: number;
  /** What is minimised on the forget set by the methods that leave the choice open; undefined = random-label, as the authors do. */
  readonly forgetObjective?: ForgetObjectiveName;
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
