import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { badInput } from "../../converters/errors.ts";
import { mean } from "../tasks/numbers.ts";
import { decisionValues, trainSvm } from "./svm.ts";

/** What a model says about a set of labelled samples. */
export interface ScoredSet {
  /** [N, classes], row-major. */
  readonly probabilities: Float32Array;
  readonly classes: number;
  /** [N] */
  readonly labels: Int32Array;
}

export const membershipFeatures = [
  "correctness",
  "confidence",
  "entropy",
  "modifiedEntropy",
  "probabilities",
] as const;
export type MembershipFeature = (typeof membershipFeatures)[number];

/** Smallest probability whose logarithm is taken, as in Song & Mittal's code. */
const SMALLEST = 1e-30;
const safeLog = (p: number): number => Math.log(Math.max(p, SMALLEST));

/** What an attack sees of one sample: `row` is its probability vector, `label` the true class. */
const perSample: {
  readonly [F in Exclude<MembershipFeature, "probabilities">]: (row: Float32Array, label: number) => number;
} = {
  correctness: (row, label) => Number(row.indexOf(Math.max(...row)) === label),
  confidence: (row, label) => row[label]!,
  /** −Σ p log p, nats. */
  entropy: (row) => -row.reduce((sum, p) => sum + p * safeLog(p), 0),
  /**
   * −(1 − p_y) log p_y − Σ_{i≠y} p_i log(1 − p_i), nats (Song & Mittal, Systematic Evaluation of Privacy
   * Risks of Machine Learning Models, USENIX Security 2021, equation 6).
   */
  modifiedEntropy: (row, label) =>
    -row.reduce((sum, p, i) => sum + (i === label ? (1 - p) * safeLog(p) : p * safeLog(1 - p)), 0),
};

/** A feature of every sample, [N, width] row-major; width = classes for the whole vector, else 1. */
export function membershipFeature(
  { probabilities, classes, labels }: ScoredSet,
  feature: MembershipFeature,
): { readonly values: Float64Array; readonly width: number } {
  if (feature === "probabilities") return { values: Float64Array.from(probabilities), width: classes };
  const of = perSample[feature];
  const values = Float64Array.from(labels, (label, i) =>
    of(probabilities.subarray(i * classes, (i + 1) * classes), label),
  );
  return { values, width: 1 };
}

/** `count` of the indices 0…total−1, ascending: a seeded draw without replacement. */
export function drawSubset(total: number, count: number, seed: number): number[] {
  const order = Array.from({ length: total }, (_, i) => i);
  if (count >= total) return order;
  const random = xoroshiro128plus(seed);
  for (let i = 0; i < count; i++) {
    const j = uniformInt(random, i, total - 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order.slice(0, count).sort((a, b) => a - b);
}

const rowsOf = (values: Float64Array, width: number, rows: readonly number[]): Float64Array => {
  const out = new Float64Array(rows.length * width);
  for (const [i, row] of rows.entries()) out.set(values.subarray(row * width, (row + 1) * width), i * width);
  return out;
};

export interface AttackedSets {
  readonly retain: ScoredSet;
  readonly test: ScoredSet;
  readonly forget: ScoredSet;
}

/** Larger sets are drawn from, so that the attack ends: its cost grows with the square of this. */
const MOST_EACH = 10_000;

/**
 * The field's membership attack on each forget sample: 1 where it calls the sample a non-member, 0 where a
 * member. The attack is an SVM (RBF kernel, C = 3, γ = 1 / features) trained to tell retained (member) from
 * test samples (non-member), equally many of both: a seeded draw from the larger set, at most 10,000. Jia et
 * al., Model Sparsity Can Simplify Machine Unlearning, NeurIPS 2023, appendix C.3.
 * @throws badInput SET_EMPTY, CLASS_COUNT (exit 2)
 */
export function membershipCalls(sets: AttackedSets, feature: MembershipFeature, seed: number): Float64Array {
  const { retain, test, forget } = sets;
  for (const [name, { labels, classes }] of Object.entries(sets)) {
    if (labels.length === 0)
      throw badInput("SET_EMPTY", `The ${name} set of the membership attack is empty.`);
    if (classes !== forget.classes)
      throw badInput(
        "CLASS_COUNT",
        `The ${name} set has probabilities of ${classes} classes, the forget set of ${forget.classes}; score all three with one model.`,
      );
  }
  const [members, others, target] = [retain, test, forget].map((set) => membershipFeature(set, feature));
  const { width } = members!;
  const each = Math.min(retain.labels.length, test.labels.length, MOST_EACH);
  const inside = rowsOf(members!.values, width, drawSubset(retain.labels.length, each, seed));
  const outside = rowsOf(others!.values, width, drawSubset(test.labels.length, each, seed));
  const x = new Float64Array(2 * each * width);
  x.set(outside);
  x.set(inside, each * width);
  const y = new Int8Array(2 * each).fill(1, 0, each).fill(-1, each);
  const svm = trainSvm(x, y, { features: width, c: 3, gamma: 1 / width });
  return decisionValues(svm, target!.values).map((score) => Number(score > 0));
}

/** MIA efficacy: the share of the forget set that the attack calls a non-member. */
export const membershipEfficacy = (sets: AttackedSets, feature: MembershipFeature, seed: number): number =>
  mean(membershipCalls(sets, feature, seed));

/** MIA efficacy on each of the five features. */
export const membershipEfficacies = (
  sets: AttackedSets,
  seed: number,
): { readonly [F in MembershipFeature]: number } =>
  Object.fromEntries(
    membershipFeatures.map((feature) => [feature, membershipEfficacy(sets, feature, seed)]),
  ) as Record<MembershipFeature, number>;
