import type { Head } from "../../converters/import/model.ts";
import type { VectorTargets } from "../data/types.ts";
import type { ScoredSet } from "./membership.ts";

/** A model's answers on a labelled set: what every metric is computed from. */
export interface Scored {
  readonly count: number;
  readonly classes: number;
  /** True labels [N]. */
  readonly truth: Int32Array;
  /** Predicted labels [N]; −1 where the model's outputs are not numbers. */
  readonly predicted: Int32Array;
  /** What the file's output holds, [N, units] row-major. */
  readonly raw: Float32Array;
  /**
   * Writes log p of sample i, natural, into `out` [classes]. Exact from logits, also where p itself would round to 0.
   * Undefined where the file hands out labels only.
   */
  readonly logProbabilities: ((i: number, out: Float64Array) => void) | undefined;
  /** Class probabilities [N, classes], row-major. */
  readonly probabilities: Float32Array | undefined;
  /** Where the truth is no class: `truth` and `predicted` are then empty. */
  readonly vector?: VectorAnswers;
}

/** A model's answers on bits or values, [N, width] row-major. */
export interface VectorAnswers {
  readonly targets: VectorTargets;
  /** Values of a regression; logits of bits. */
  readonly outputs: ArrayLike<number>;
}

/** What {@link predict} hands back, as far as it matters here. */
export interface Answers {
  readonly count: number;
  readonly classes: number;
  /** The file's output, [N, units] row-major; one unit stands for class 1 against class 0. */
  readonly raw: Float32Array;
  readonly probabilities: Float32Array | undefined;
  readonly labels: Int32Array;
}

const SMALLEST = 1e-30;

/** log(1 + e^z) without overflow. */
const softplus = (z: number): number => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));

function logRow(
  { raw, count, classes, probabilities }: Answers,
  kind: Head["outputKind"],
): Scored["logProbabilities"] {
  if (!probabilities || kind === "labels") return undefined;
  const units = raw.length / count;
  if (units === 1 && kind === "logits")
    return (i, out) => {
      out[0] = -softplus(raw[i]!);
      out[1] = -softplus(-raw[i]!);
    };
  if (kind === "logits")
    return (i, out) => {
      let peak = Number.NEGATIVE_INFINITY;
      for (let c = 0; c < classes; c++) peak = Math.max(peak, raw[i * classes + c]!);
      let total = 0;
      for (let c = 0; c < classes; c++) total += Math.exp(raw[i * classes + c]! - peak);
      const logTotal = Math.log(total) + peak;
      for (let c = 0; c < classes; c++) out[c] = raw[i * classes + c]! - logTotal;
    };
  if (kind === "log-probabilities" && units === classes)
    return (i, out) => {
      for (let c = 0; c < classes; c++) out[c] = raw[i * classes + c]!;
    };
  return fromProbabilities(probabilities, classes);
}

const fromProbabilities =
  (probabilities: Float32Array, classes: number) =>
  (i: number, out: Float64Array): void => {
    // Not Math.max(p, …) alone: NaN must stay NaN.
    for (let c = 0; c < classes; c++) {
      const p = probabilities[i * classes + c]!;
      out[c] = Math.log(p < SMALLEST ? SMALLEST : p);
    }
  };

/** Answers of a file, beside the truth. */
export const scored = (answers: Answers, kind: Head["outputKind"], truth: Int32Array): Scored => ({
  count: answers.count,
  classes: answers.classes,
  truth,
  predicted: answers.labels,
  raw: answers.raw,
  probabilities: answers.probabilities,
  logProbabilities: logRow(answers, kind),
});

/** What a float32 sigmoid cannot tell from 0 or 1: ONNX Runtime computes ½ + x · r(x), so both ends are rounded alike. */
const UNRESOLVED = 2 ** -25;
/** log p / (1 − p) of a sigmoid's float32, finite at 0 and 1. */
const logit = (p: number): number =>
  Number.isNaN(p) ? p : Math.log(Math.max(p, UNRESOLVED)) - Math.log(Math.max(1 - p, UNRESOLVED));

/** Answers of a file on bits or values, beside the truth. */
export const scoredVectors = (
  { count, raw }: Answers,
  kind: Head["outputKind"],
  targets: VectorTargets,
): Scored => ({
  count,
  classes: targets.width,
  truth: new Int32Array(0),
  predicted: new Int32Array(0),
  raw,
  probabilities: undefined,
  logProbabilities: undefined,
  vector: { targets, outputs: kind === "sigmoid" ? Float64Array.from(raw, logit) : raw },
});

/** Recorded probabilities, beside the truth. */
export const scoredFromProbabilities = ({ probabilities, classes, labels }: ScoredSet): Scored => ({
  count: labels.length,
  classes,
  truth: labels,
  predicted: labels.map((_, i) => {
    const row = probabilities.subarray(i * classes, (i + 1) * classes);
    return row.indexOf(Math.max(...row));
  }),
  raw: probabilities,
  probabilities,
  logProbabilities: fromProbabilities(probabilities, classes),
});

/** For the membership attacks. */
export const attackable = ({ probabilities, classes, truth }: Scored): ScoredSet | undefined =>
  probabilities && { probabilities, classes, labels: truth };
