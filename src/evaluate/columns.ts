import type { Scored, VectorAnswers } from "./scored.ts";

/** One value per sample; a metric is the mean of a column. */
export type Column = Float64Array;

/** Per-sample figures of one model on one set; undefined where the model gives no probabilities. */
export interface Columns {
  /** Whether the predicted class is the label; of several labels the share that is right. Undefined for a regression. */
  readonly accuracy: Column | undefined;
  /** Undefined also where there are at most five classes: it would be 1 by definition. */
  readonly top5Accuracy: Column | undefined;
  /** −log p_y, nats; of several labels the mean; of a regression (z − y)², mean over its outputs. */
  readonly loss: Column | undefined;
  /** p_y. */
  readonly confidence: Column | undefined;
  /** max_c p_c. */
  readonly peak: Column | undefined;
  /** Whether all labels of the sample are right; several labels only. */
  readonly subset?: Column;
  /** |z − y|, mean over the outputs; regressions only. */
  readonly absolute?: Column;
}

export function columnsOf(set: Scored): Columns {
  const known = computed.get(set) ?? computeColumns(set);
  computed.set(set, known);
  return known;
}

/** Several figures look at the same columns; a large set with many classes is gone through once. */
const computed = new WeakMap<Scored, Columns>();

const softplus = (z: number): number => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));

/** As the losses of training, in float64. */
function vectorColumns(count: number, { targets, outputs }: VectorAnswers): Columns {
  const { kind, data, width } = targets;
  const over = (value: (z: number, y: number) => number): Column =>
    Float64Array.from({ length: count }, (_, i) => {
      let sum = 0;
      for (let at = i * width; at < (i + 1) * width; at++) sum += value(outputs[at]!, data[at]!);
      return sum / width;
    });
  const none = { top5Accuracy: undefined, confidence: undefined, peak: undefined };
  if (kind === "regression")
    return {
      ...none,
      accuracy: undefined,
      loss: over((z, y) => (z - y) ** 2),
      absolute: over((z, y) => Math.abs(z - y)),
    };
  const accuracy = over((z, y) => Number(z > 0 === y > 0.5));
  return {
    ...none,
    accuracy,
    subset: accuracy.map((share) => Number(share === 1)),
    loss: over((z, y) => softplus(z) - y * z),
  };
}

function computeColumns({ count, classes, truth, predicted, logProbabilities, vector }: Scored): Columns {
  if (vector) return vectorColumns(count, vector);
  const accuracy = Float64Array.from(truth, (label, i) => Number(predicted[i] === label));
  if (!logProbabilities)
    return { accuracy, top5Accuracy: undefined, loss: undefined, confidence: undefined, peak: undefined };
  const [top5, loss, peak] = [new Float64Array(count), new Float64Array(count), new Float64Array(count)];
  const row = new Float64Array(classes);
  for (let i = 0; i < count; i++) {
    logProbabilities(i, row);
    const own = row[truth[i]!]!;
    loss[i] = -own;
    let [above, highest] = [0, Number.NEGATIVE_INFINITY];
    for (const value of row) {
      if (value > own) above++;
      if (value > highest || Number.isNaN(value)) highest = value;
    }
    top5[i] = Number(above < 5 && !Number.isNaN(own));
    peak[i] = Math.exp(highest);
  }
  return {
    accuracy,
    top5Accuracy: classes > 5 ? top5 : undefined,
    loss,
    confidence: loss.map((value) => Math.exp(-value)),
    peak,
  };
}

/** Per-sample figures of two models on one set. */
export interface PairColumns {
  /** Both predict the same label, right or wrong; of several labels the share. Undefined for a regression, as what follows. */
  readonly agreement: Column | undefined;
  /** KL(before ‖ after) = Σ_c p_c (log p_c − log q_c), nats; classes only. */
  readonly kl: Column | undefined;
  readonly newlyWrong: Column | undefined;
  readonly newlyRight: Column | undefined;
}

/** Of several labels, a sample counts as right where all of them are. */
function vectorPair(before: Scored, after: Scored): PairColumns {
  const [b, a] = [columnsOf(before).subset, columnsOf(after).subset];
  const [x, y] = [before.vector!.outputs, after.vector!.outputs];
  if (!b || !a) return { agreement: undefined, kl: undefined, newlyWrong: undefined, newlyRight: undefined };
  const { width } = before.vector!.targets;
  return {
    agreement: Float64Array.from({ length: before.count }, (_, i) => {
      let same = 0;
      for (let at = i * width; at < (i + 1) * width; at++) same += Number(x[at]! > 0 === y[at]! > 0);
      return same / width;
    }),
    kl: undefined,
    newlyWrong: b.map((right, i) => Number(right === 1 && a[i] === 0)),
    newlyRight: b.map((right, i) => Number(right === 0 && a[i] === 1)),
  };
}

export function pairColumns(before: Scored, after: Scored): PairColumns {
  if (before.vector) return vectorPair(before, after);
  const { truth, predicted } = before;
  const compare = (of: (b: number, a: number, truth: number) => boolean) =>
    Float64Array.from(truth, (label, i) => Number(of(predicted[i]!, after.predicted[i]!, label)));
  return {
    agreement: compare((b, a) => b === a),
    kl: divergence(before, after, (p, logP, logQ) => p * (logP - logQ)),
    newlyWrong: compare((b, a, label) => b === label && a !== label),
    newlyRight: compare((b, a, label) => b !== label && a === label),
  };
}

/** Jensen–Shannon divergence ½ KL(p ‖ m) + ½ KL(q ‖ m), m = ½ (p + q), nats: between 0 and log 2. */
export const jensenShannon = (a: Scored, b: Scored): Column | undefined =>
  divergence(a, b, (p, logP, logQ) => {
    const q = Math.exp(logQ);
    const logM = Math.log(0.5 * (p + q));
    return 0.5 * ((p > 0 ? p * (logP - logM) : 0) + (q > 0 ? q * (logQ - logM) : 0));
    // Never negative but for rounding.
  })?.map((value) => Math.max(0, value));

function divergence(
  a: Scored,
  b: Scored,
  term: (p: number, logP: number, logQ: number) => number,
): Column | undefined {
  if (!a.logProbabilities || !b.logProbabilities || a.classes !== b.classes) return undefined;
  const [rowA, rowB] = [new Float64Array(a.classes), new Float64Array(a.classes)];
  const out = new Float64Array(a.count);
  for (let i = 0; i < a.count; i++) {
    a.logProbabilities(i, rowA);
    b.logProbabilities(i, rowB);
    let sum = 0;
    for (let c = 0; c < a.classes; c++) sum += term(Math.exp(rowA[c]!), rowA[c]!, rowB[c]!);
    out[i] = sum;
  }
  return out;
}

export const mean = (column: Column): number => column.reduce((sum, value) => sum + value, 0) / column.length;

const BINS = 15;

/**
 * Expected calibration error: Σ_b (n_b / N) |accuracy_b − mean confidence_b| over 15 equally wide bins of the highest
 * probability (Guo et al., On Calibration of Modern Neural Networks, ICML 2017).
 */
export function calibrationError(accuracy: Column, peak: Column): number {
  const [right, sure] = [new Float64Array(BINS), new Float64Array(BINS)];
  for (let i = 0; i < peak.length; i++) {
    if (Number.isNaN(peak[i]!)) return Number.NaN;
    // Bins are open on the left: ((b − 1)/15, b/15].
    const bin = Math.min(BINS - 1, Math.max(0, Math.ceil(peak[i]! * BINS) - 1));
    right[bin] = right[bin]! + accuracy[i]!;
    sure[bin] = sure[bin]! + peak[i]!;
  }
  return right.reduce((sum, r, b) => sum + Math.abs(r - sure[b]!), 0) / peak.length;
}
