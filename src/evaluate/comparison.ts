import type { Interval } from "./bootstrap.ts";
import type { MetricName, SetMetric, SetName } from "./glossary.ts";
import type { Scored } from "./scored.ts";
import type { Shadow } from "./shadow.ts";

/** One metric of the comparison. Shares are fractions, losses nats; null where it could not be measured. */
export interface Figure {
  /** Null for what only a comparison has (agreement, flips), and where `reason` says so. */
  readonly before: number | null;
  readonly after: number | null;
  readonly reference?: number | null;
  /** 95 %; `change` is paired: of after − before on the same samples. */
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

/** Points of the curves a report draws. */
export interface Curves {
  /** ROC of the membership attack, [false positive, true positive] rates, thinned to at most 200 points. */
  readonly roc?: Readonly<Record<"before" | "after", readonly (readonly [number, number])[]>>;
  /** Samples per bin of the label's probability, 20 equal bins from 0 to 1. */
  readonly confidence: Partial<
    Record<SetName, { readonly before: readonly number[]; readonly after: readonly number[] }>
  >;
}

/**
 * Whether AFTER gives the forget set away, and in which direction; from the interval of the membership AUC.
 */
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

/** The answers of one model on every set. */
export interface ModelAnswers {
  readonly forget: Scored;
  readonly retain: Scored;
  readonly test: Scored | undefined;
  readonly validation?: Scored | undefined;
  readonly also: Readonly<Record<string, Scored>>;
}

export interface CompareOptions {
  /** Of the bootstrap and of the attack's training subset. */
  readonly seed: number;
  /** Answers of reference models on the forget set, then the test set. */
  readonly shadows?: readonly Shadow[];
}

/** Reasons for a null. */
export const LABELS_ONLY = "the model hands out labels only; this needs probabilities";
export const NOT_NUMBERS = "the model's outputs are not numbers";
export const OTHER_CLASSES = "the models have different numbers of classes";
export const NEEDS_CLASSES = "the targets are not one class per sample; this is defined for classes only";
export const NO_TEST =
  "no test set was given; test accuracy and the membership attacks need samples the model never saw";

/** Null in place of what JSON cannot hold. */
export const finite = (value: number | undefined): number | null =>
  value !== undefined && Number.isFinite(value) ? value : null;
