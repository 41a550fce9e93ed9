import type { Head } from "../../converters/import/model.ts";
import type { tf } from "../../converters/tf.ts";

/** A uniform whole number from `from` to `to`, both included. */
export type Draw = (from: number, to: number) => number;

/** An array of a data file, row-major, samples first. */
export interface TruthArray {
  readonly dims: readonly number[];
  readonly kind: "float" | "integer";
  readonly data: ArrayLike<number>;
}

/** The truth of a set's samples, row-major: int32 for classes, float32 for numbers. */
export interface Truth {
  readonly data: Int32Array | Float32Array;
  /** Shape per sample: [] for one class, [C] for C numbers. */
  readonly dims: readonly number[];
  /** Numbers per sample: the product of `dims`. */
  readonly width: number;
}

/** Samples and their truth: what a task sees of a data set. */
export interface Labelled {
  /** File or name of the set, for messages. */
  readonly path: string;
  readonly count: number;
  readonly task: Task;
  readonly truth: Truth;
}

/** A model's outputs for the samples of a set. */
export interface Outputs {
  readonly count: number;
  /** [count, units], row-major. */
  readonly raw: Float32Array;
  /**
   * What the numbers are: logits during training; in evaluation, what the file's last operator makes of them.
   */
  readonly kind: Head["outputKind"];
}

/** One float64 per sample; a metric is the mean of a column. */
export type Column = Float64Array;

/** Per-sample figures of one model; a figure is absent where the task or the outputs do not define it. */
export interface Columns {
  /** Share of the sample's labels that are right: 0 or 1 where it has one. */
  readonly accuracy?: Column;
  /** The task's loss, in nats or squared error. */
  readonly loss?: Column;
  /** Probability of the sample's own label; the score of the membership attack. */
  readonly confidence?: Column;
  /** Highest probability of any class. */
  readonly peak?: Column;
  /** 1 where an output is NaN or infinite. */
  readonly broken: Column;
  /** Columns of metrics that only this task defines. */
  readonly [further: string]: Column | undefined;
}

/** Per-sample figures of two models on the same samples. */
export interface PairColumns {
  /** 1 where both predict the same label, right or wrong; with several labels, the share of equal ones. */
  readonly agreement?: Column;
  /** KL(before ‖ after) = Σ_c p_c (log p_c − log q_c), nats. */
  readonly kl?: Column;
  /** 1 where BEFORE is right (in all labels) and AFTER is wrong; `newlyRight` the other way round. */
  readonly newlyWrong?: Column;
  readonly newlyRight?: Column;
}

/** float [N, units], truth (int32 or float [N, ...dims]) → float [N], in nats or squared error. */
export type PerSample = (outputs: tf.Tensor, truth: tf.Tensor) => tf.Tensor;

/** Every forget objective; each task defines some of them. */
export const FORGET_OBJECTIVES = ["random-label", "bounded-ascent", "uniform", "likely-other"] as const;
export type ForgetObjectiveName = (typeof FORGET_OBJECTIVES)[number];

/**
 * What is minimised on the forget set; targets are the own truth unless `redraw` or `fromStart` makes others.
 */
export interface ForgetObjective {
  readonly perSample: PerSample;
  /** Whether log(L + 1e-8) may be minimised instead of L: only if L ≥ 0 and L does not come near 0 early. */
  readonly loggable: boolean;
  /** Targets drawn anew for each epoch. */
  readonly redraw?: (set: Labelled, units: number, draw: Draw) => Truth;
  /** Targets made once from the start model's logits [N, units]. */
  readonly fromStart?: (set: Labelled, logits: Float32Array) => Truth;
}

/** The objective `random-label` of a task: its loss against targets drawn anew for each epoch. */
export const randomLabel = (
  loss: PerSample,
  redraw: NonNullable<ForgetObjective["redraw"]>,
): ForgetObjective => ({ perSample: loss, loggable: true, redraw });

/** Unit that utility, and so a budget, is measured in. */
export type BudgetUnit = "accuracy" | "nats" | "squared error";

/** Unit of a metric; reports write a share in percent and the others as plain numbers. */
export type Unit = "share" | "area" | "nats" | "number" | "milliseconds" | "bytes";

/** Which values of a metric are good; "half": near ½, "reference": near the retrained model's. */
export type Direction = "higher" | "lower" | "half" | "reference";

/** A metric's title, unit, good direction and meaning. */
export type MetricEntry = readonly [title: string, unit: Unit, good: Direction, meaning: string];

/** What is defined only where the truth is one class per sample. */
export interface ClassReading {
  /** Predicted classes [N]; −1 where an output is NaN. */
  readonly predicted: (outputs: Outputs) => Int32Array;
  /** Class probabilities [N, classes], row-major; undefined where the file gives labels only. */
  readonly probabilities: (outputs: Outputs) => Float32Array | undefined;
  /** Jensen–Shannon divergence ½ KL(p ‖ m) + ½ KL(q ‖ m), m = ½ (p + q), nats: between 0 and log 2. */
  readonly jensenShannon: (a: Outputs, b: Outputs) => Column | undefined;
}

/** A kind of learning problem: what the truth of a sample is, and the losses and metrics that follow. */
export interface Task {
  readonly name: string;
  /** The task in messages, with its article: "a regression". */
  readonly noun: string;

  /**
   * Reads the truth from the array `y` of a data file.
   * @param y undefined if the file has no such array
   * @param has what the file has instead, to follow a path in a message
   * @throws badInput LABELS_MISSING, SET_EMPTY, LABELS_SHAPE, LABEL_RANGE, TARGET_RANGE
   */
  readonly read: (
    path: string,
    y: TruthArray | undefined,
    has: string,
  ) => { readonly count: number; readonly truth: Truth };
  /**
   * Refuses a set whose truth cannot be compared with a model's outputs.
   * @param outputs values per sample, what they are, and the output's name in the graph
   * @throws badInput TARGETS_SHAPE, LABEL_RANGE, HEAD_LOSS naming set, sample and remedy
   */
  readonly check: (
    set: Labelled,
    outputs: { readonly units: number; readonly kind: Outputs["kind"]; readonly output?: string },
  ) => void;

  /** The utility loss of each sample. */
  readonly loss: PerSample;
  /** The forget objectives that are defined for this task. */
  readonly objectives: { readonly [O in ForgetObjectiveName]?: ForgetObjective };
  /**
   * Writes random values into a batch (`x:<input>`, `labels`), in place, before each step, such as the noise
   * and timestep of a diffusion model. Undefined: batches hold the data as they are.
   */
  readonly drawStep?: (
    batch: Readonly<Record<string, Float32Array | Int32Array | Uint8Array>>,
    draw: Draw,
  ) => void;

  /** Per-sample figures, in float64 on the host; used to watch a run and to evaluate a file. */
  readonly measure: (outputs: Outputs, truth: Truth) => Columns;
  /** Figures that compare two models sample by sample. */
  readonly compare: (before: Outputs, after: Outputs, truth: Truth) => PairColumns;
  /** Undefined where the truth is not one class per sample. */
  readonly classes?: ClassReading;

  /** Units a budget may be in; the first is the unit of utility where no budget is set. */
  readonly units: readonly [BudgetUnit, ...BudgetUnit[]];
  /** Unit of the mean losses that a report shows among its headline figures; undefined: it shows none. */
  readonly headlineLoss?: Exclude<BudgetUnit, "accuracy">;
  /** Metrics of each set, in the order of a report, and the column whose mean each is. */
  readonly metrics: Readonly<Record<string, string>>;
  /** Those metrics that no other task has; a report shows one only if BEFORE has its column. */
  readonly glossary: Readonly<Record<string, MetricEntry>>;
}
