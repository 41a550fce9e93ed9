import { mean } from "../tasks/numbers.ts";
import type { Interval } from "./bootstrap.ts";

/** ROC curve of a score that is higher for members, from (0, 0) to (1, 1). */
export interface Roc {
  /** Share of non-members called members, ascending. */
  readonly falsePositive: Float64Array;
  /** Share of members called members. */
  readonly truePositive: Float64Array;
}

/** The curve has one point per distinct score, so that tied samples are called members together. */
export function rocCurve(members: Float64Array, others: Float64Array): Roc {
  const scores = Float64Array.from([...members, ...others]);
  const order = Uint32Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]!);
  const [fp, tp] = [[0], [0]];
  let [falses, trues] = [0, 0];
  order.forEach((at, k) => {
    if (at < members.length) trues++;
    else falses++;
    const next = order[k + 1];
    if (next !== undefined && scores[next] === scores[at]) return;
    fp.push(falses / others.length);
    tp.push(trues / members.length);
  });
  return { falsePositive: Float64Array.from(fp), truePositive: Float64Array.from(tp) };
}

/** Area under the curve: the chance that a member scores higher than a non-member, ties counted half. */
export function areaUnder({ falsePositive: x, truePositive: y }: Roc): number {
  let area = 0;
  for (let i = 1; i < x.length; i++) area += ((x[i]! - x[i - 1]!) * (y[i]! + y[i - 1]!)) / 2;
  return area;
}

/** Highest true positive rate at a false positive rate of at most `limit`. */
export function truePositiveAt({ falsePositive, truePositive }: Roc, limit: number): number {
  let best = 0;
  for (let i = 0; i < falsePositive.length; i++)
    if (falsePositive[i]! <= limit) best = Math.max(best, truePositive[i]!);
  return best;
}

/** Highest ½ (true positive rate + true negative rate) over all thresholds. */
export const bestBalancedAccuracy = ({ falsePositive, truePositive }: Roc): number =>
  truePositive.reduce((best, t, i) => Math.max(best, (t + 1 - falsePositive[i]!) / 2), 0);

/** Rank of each value among all, from 1; tied values share their mean rank. */
function midRanks(values: Float64Array): Float64Array {
  const order = Uint32Array.from(values.keys()).sort((a, b) => values[a]! - values[b]!);
  const ranks = new Float64Array(values.length);
  for (let start = 0; start < order.length; ) {
    let end = start;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (let k = start; k < end; k++) ranks[order[k]!] = (start + end + 1) / 2;
    start = end;
  }
  return ranks;
}

const variance = (values: Float64Array): number => {
  const center = mean(values);
  return values.reduce((sum, v) => sum + (v - center) ** 2, 0) / Math.max(1, values.length - 1);
};

/**
 * 95 % interval of the area by DeLong's variance: AUC ± 1.96 √(S₁₀/m + S₀₁/n), clipped to 0…1. S₁₀ is the
 * variance over members of the share of non-members that score lower, S₀₁ that over non-members of the share
 * of members that score higher (Sun & Xu, IEEE Signal Processing Letters 21, 2014).
 */
export function areaInterval(members: Float64Array, others: Float64Array): Interval {
  const [m, n] = [members.length, others.length];
  const together = midRanks(Float64Array.from([...members, ...others]));
  const [own, others1] = [midRanks(members), midRanks(others)];
  const wins = Float64Array.from(members, (_, i) => (together[i]! - own[i]!) / n);
  const losses = Float64Array.from(others, (_, j) => 1 - (together[m + j]! - others1[j]!) / m);
  const area = mean(wins);
  const half = 1.959964 * Math.sqrt(variance(wins) / m + variance(losses) / n);
  return [Math.max(0, area - half), Math.min(1, area + half)];
}
