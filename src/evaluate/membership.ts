import { badInput } from "../../converters/errors.ts";
import { concatenated, mean, rowsOf } from "../tasks/numbers.ts";
import { drawing, subset } from "../unlearn/batches.ts";
import { decisionValues, trainSvm } from "./svm.ts";

/** Class probabilities of a model for labelled samples. */
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

/** Smaller probabilities are raised to this before their logarithm is taken, as in Song & Mittal's code. */
const SMALLEST = 1e-30;
const safeLog = (p: number): number => Math.log(Math.max(p, SMALLEST));

/** The feature that an attack has of one sample: `row` is its probability vector, `label` the true class. */
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

/** A feature of every sample, [N, width] row-major; width = classes for `probabilities`, else 1. */
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
export const drawSubset = (total: number, count: number, seed: number): number[] =>
  subset(total, count, drawing(seed)());

export interface AttackedSets {
  readonly retain: ScoredSet;
  readonly test: ScoredSet;
  readonly forget: ScoredSet;
}

/** The attack trains on at most this many samples of each kind, as its cost grows with their square. */
const MOST_EACH = 10_000;

/**
 * The membership attack that is usual in unlearning, on each forget sample: 1 if it calls the sample a
 * non-member, 0 if a member. The attack is an SVM (RBF kernel, C = 3, γ = 1 / features) trained to tell
 * retained samples (members) from test samples (non-members), equally many of both: a seeded draw, at most
 * 10,000 each. Jia et al., Model Sparsity Can Simplify Machine Unlearning, NeurIPS 2023, appendix C.3.
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
  const x = concatenated([outside, inside]);
  const y = new Int8Array(2 * each).fill(1, 0, each).fill(-1, each);
  const svm = trainSvm(x, y, { features: width, c: 3, gamma: 1 / width });
  return decisionValues(svm, target!.values).map((score) => Number(score > 0));
}

/** MIA efficacy: the share of the forget set that the attack calls a non-member. */
export const membershipEfficacy = (sets: AttackedSets, feature: MembershipFeature, seed: number): number =>
  mean(membershipCalls(sets, feature, seed));
