import type { Interval } from "./bootstrap.ts";
import type { MetricName, SetMetric, SetName } from "./glossary.ts";
import type { Scored } from "./scored.ts";
import type { Shadow } from "./shadow.ts";

/** One metric of a comparison. Shares are fractions, losses nats; null if it could not be measured. */
export interface Figure {
  /** Also null for metrics of a pair of models, such as agreement, which have a value `after` only. */
  readonly before: number | null;
  readonly after: number | null;
  readonly reference?: number | null;
  /** 95 % intervals; that of `change` is for after − before, paired by sample. */
  readonly interval?: { readonly before?: Interval; readonly after?: Interval; readonly change?: Interval };
  /** Why a value is null. */
  readonly reason?: string;
}

/** Values of both files, and of the reference, by metric. */
export type Figures = Partial<Record<MetricName, Figure>>;

/** Accuracy of one class on one set. */
export interface ClassFigure {
  readonly label: number;
  readonly count: number;
  readonly before: number;
  readonly after: number;
}

/** Points of the curves in a report. */
export interface Curves {
  /** ROC of the membership attack, [false positive, true positive] rates, thinned to at most 200 points. */
  readonly roc?: Readonly<Record<"before" | "after", readonly (readonly [number, number])[]>>;
  /** Samples per bin of the label's probability, 20 equal bins from 0 to 1. */
  readonly confidence: Partial<
    Record<SetName, { readonly before: readonly number[]; readonly after: readonly number[] }>
  >;
}

/** Whether a model reveals the forget set, and in which direction, by the interval of its membership AUC. */
export interface Leak {
  readonly verdict: "none found" | "remembered" | "over-forgotten" | "not measured";
  readonly sentence: string;
}

export interface Comparison {
  readonly figures: Figures;
  readonly perClass: Partial<Record<SetName, readonly ClassFigure[]>>;
  readonly also: Readonly<Record<string, Partial<Record<Uncapitalize<SetMetric>, Figure>>>>;
  readonly leak: { readonly before: Leak; readonly after: Leak };
  readonly curves: Curves;
}

/** Outputs of one model on every set. */
export interface ModelAnswers {
  readonly forget: Scored;
  readonly retain: Scored;
  readonly test: Scored | undefined;
  readonly validation?: Scored | undefined;
  readonly also: Readonly<Record<string, Scored>>;
}

export interface CompareOptions {
  /** Seed of the bootstrap and of the attack's training samples. */
  readonly seed: number;
  /** Outputs of shadow models on the forget set followed by the test set. */
  readonly shadows?: readonly Shadow[];
}

/** Values of `reason`. */
export const LABELS_ONLY = "the model hands out labels only; this needs probabilities";
export const NOT_NUMBERS = "the model's outputs are not numbers";
export const OTHER_CLASSES = "the models have different numbers of classes";
export const NEEDS_CLASSES = "the targets are not one class per sample; this is defined for classes only";
export const NO_TEST =
  "no test set was given; test accuracy and the membership attacks need samples the model never saw";

/** The value, or null if it is undefined, NaN or infinite, which JSON cannot hold. */
export const finite = (value: number | undefined): number | null =>
  value !== undefined && Number.isFinite(value) ? value : null;
