import type { EngineName } from "../engine/engine.ts";

export type Method = "eupmu" | "eupmu-fast" | "explicit" | "finetune" | "random-label" | "gradient-ascent";

export interface UnlearnOptions {
  readonly method: Method;
  /** ε_t per step in the paper's sign, log-ratio units of the utility loss (METHOD: > 0 allows a rise). */
  readonly epsilon: number;
  readonly dual: "adam" | "ascent";
  readonly beta: number;
  /** What is minimised on the forget set by the surgery methods; undefined = random-label, as the authors do. */
  readonly forgetObjective?: "random-label" | "bounded-ascent";
  /** λ₀; undefined = the method's own (0; 1 for eupmu-fast). */
  readonly lambda?: number;
  readonly epochs: number;
  readonly lr: number;
  readonly momentum: number;
  readonly weightDecay: number;
  readonly batchSize: number;
  readonly seed: number;
  readonly threads?: number;
  readonly engine: EngineName;
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
  /** log L_r(θ_{t+1}) − log L_r(θ_t) on the batch; null where the batch has no retained sample. */
  readonly rise: number | null;
  readonly epsilon: number;
  /** max(λ, 0) as used in this step; 0 for methods without one. */
  readonly lambda: number;
}

/**
 * Samples held in memory: model inputs by name (row-major, already preprocessed) and labels.
 * `dims` is the shape of all samples together or of one sample: told apart by the rank of the model's input.
 */
export interface Dataset {
  readonly path: string;
  readonly count: number;
  readonly inputs: Readonly<
    Record<string, { readonly data: Float32Array | Int32Array; readonly dims: readonly number[] }>
  >;
  readonly labels: Int32Array;
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
}
