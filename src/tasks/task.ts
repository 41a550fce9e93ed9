import type { Head } from "../../converters/import/model.ts";
import type { tf } from "../../converters/tf.ts";
import type { ForgetObjectiveName } from "./names.ts";

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
  /** Where they come from; messages name it. */
  readonly path: string;
  readonly count: number;
  readonly task: Task;
  readonly truth: Truth;
}

/** What a model gives for the samples of a set. */
export interface Outputs {
  readonly count: number;
  /** [count, units], row-major. */
  readonly raw: Float32Array;
  /** What the numbers are: logits in training, whatever the file's head makes of them in evaluation. */
  readonly kind: Head["outputKind"];
}

/** One float64 per sample; a metric is the mean of a column. */
export type Column = Float64Array;

/** Per-sample figures of one model; a figure is absent where the task or the outputs do not define it. */
export interface Columns {
  /** Share of the sample's labels that are right: 0 or 1 where it has one. */
  readonly accuracy?: Column;
  /** The task's loss: nats, or squared error. */
  readonly loss?: Column;
  /** Membership score, between 0 and 1: the probability of the label. */
  readonly confidence?: Column;
  /** Highest probability of any class. */
  readonly peak?: Column;
  /** 1 where the outputs are not numbers. */
  readonly broken: Column;
  /** Of the metrics that the task adds. */
  readonly [further: string]: Column | undefined;
}

/** Per-sample figures of two models on the same samples. */
export interface PairColumns {
  /** Both predict the same label, right or wrong; of several labels the share. */
  readonly agreement?: Column;
  /** KL(before ‖ after) = Σ_c p_c (log p_c − log q_c), nats. */
  readonly kl?: Column;
  /** Right before (in all labels), wrong after; and the other way round. */
  readonly newlyWrong?: Column;
  readonly newlyRight?: Column;
}

/** float [N, units], truth (int32 or float [N, ...dims]) → float [N], in nats or squared error. */
export type PerSample = (outputs: tf.Tensor, truth: tf.Tensor) => tf.Tensor;

/** What is minimised on the forget set; without `redraw` and `fromStart` against the samples' own truth. */
export interface ForgetObjective {
  readonly perSample: PerSample;
  /** Whether log(L + 1e-8) may be minimised in its place: only where L ≥ 0 and its 0 is not reached early. */
  readonly loggable: boolean;
  /** Targets drawn anew for each epoch. */
  readonly redraw?: (set: Labelled, units: number, draw: Draw) => Truth;
  /** Targets made once from the start model's logits [N, units]. */
  readonly fromStart?: (set: Labelled, logits: Float32Array) => Truth;
}

/** Random labels: the task's own loss against truth drawn anew. */
export const randomLabel = (
  loss: PerSample,
  redraw: NonNullable<ForgetObjective["redraw"]>,
): ForgetObjective => ({ perSample: loss, loggable: true, redraw });

/** What utility may be measured in; a budget is an amount of it. */
export type BudgetUnit = "accuracy" | "nats" | "squared error";

/** How a value is written: a share in percent, an area between 0 and 1, the others as they are. */
export type Unit = "share" | "area" | "nats" | "number" | "milliseconds" | "bytes";

/** Which way a metric is good; "half" = like a coin, "reference" = like the retrained model. */
export type Direction = "higher" | "lower" | "half" | "reference";

/** A metric's title, unit, good direction and meaning. */
export type MetricEntry = readonly [title: string, unit: Unit, good: Direction, meaning: string];

/** Where the truth is one class per sample: what is defined for classes only. */
export interface ClassReading {
  /** Predicted classes [N]; −1 where the outputs are not numbers. */
  readonly predicted: (outputs: Outputs) => Int32Array;
  /** Class probabilities [N, classes], row-major; undefined where the file gives labels only. */
  readonly probabilities: (outputs: Outputs) => Float32Array | undefined;
  /** Jensen–Shannon divergence ½ KL(p ‖ m) + ½ KL(q ‖ m), m = ½ (p + q), nats: between 0 and log 2. */
  readonly jensenShannon: (a: Outputs, b: Outputs) => Column | undefined;
}

/** One kind of work: what a sample's truth is, and all that follows from it. */
export interface Task {
  readonly name: string;
  /** As a sentence calls it. */
  readonly noun: string;

  /**
   * The truth from the array `y` of a data file; undefined: the file has none.
   * @param has the arrays of the file, for the message
   * @throws badInput LABELS_MISSING, SET_EMPTY, LABELS_SHAPE, LABEL_RANGE, TARGET_RANGE
   */
  readonly read: (
    path: string,
    y: TruthArray | undefined,
    has: string,
  ) => { readonly count: number; readonly truth: Truth };
  /**
   * Whether a model's outputs can be compared with the truth of a set.
   * @param outputs numbers per sample, what they are, and the output's name in the graph
   * @throws badInput TARGETS_SHAPE, LABEL_RANGE, HEAD_LOSS naming set, sample and remedy
   */
  readonly check: (
    set: Labelled,
    outputs: { readonly units: number; readonly kind: Outputs["kind"]; readonly output?: string },
  ) => void;

  /** The utility loss; where a sample has many positions, the mean over the valid ones. */
  readonly loss: PerSample;
  /** The forget objectives it admits; each is built on the loss. */
  readonly objectives: { readonly [O in ForgetObjectiveName]?: ForgetObjective };
  /**
   * Draws into a filled batch (`x:<input>`, `labels`), in place, before each step: noise and timestep of a
   * denoiser. Undefined: a sample is what the data hold.
   */
  readonly drawStep?: (
    batch: Readonly<Record<string, Float32Array | Int32Array | Uint8Array>>,
    draw: Draw,
  ) => void;

  /** In float64 on the host, for the looks of training and for the evaluation of a file alike. */
  readonly measure: (outputs: Outputs, truth: Truth) => Columns;
  /** The same of two models. */
  readonly compare: (before: Outputs, after: Outputs, truth: Truth) => PairColumns;
  /** Undefined: what is defined for classes only does not apply. */
  readonly classes?: ClassReading;

  /** What a budget may be in; the first is what utility is counted in where no budget says so. */
  readonly units: readonly [BudgetUnit, ...BudgetUnit[]];
  /** Where mean losses head a report beside (or in place of) accuracies: their unit. */
  readonly headlineLoss?: Exclude<BudgetUnit, "accuracy">;
  /** Metrics of each set, and the column each is the mean of, in the order of a report. */
  readonly metrics: Readonly<Record<string, string>>;
  /** Those of them that no other task has; they stand in a report only where BEFORE has the column. */
  readonly glossary: Readonly<Record<string, MetricEntry>>;
}
