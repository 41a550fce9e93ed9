import { taskMetrics } from "../tasks/index.ts";
import type { Direction, MetricEntry, Unit } from "../tasks/task.ts";

/** The sets a comparison measures. */
export const SETS = ["forget", "retain", "test"] as const;
/** A set of a comparison. */
export type SetName = (typeof SETS)[number];

export interface Definition {
  readonly title: string;
  readonly unit: Unit;
  readonly good: Direction;
  /** Explanation in one or two sentences, for reports. */
  readonly meaning: string;
}

/** Metrics of each set; the full name has the set in front: `testAccuracy`. */
const onEverySet = {
  Accuracy: [
    "accuracy",
    "share",
    "higher",
    "share of samples whose most probable class is the label; with several labels per sample, share of labels that are right (1 − Hamming loss)",
  ],
  ...taskMetrics,
  Loss: [
    "loss",
    "nats",
    "lower",
    "negative log-likelihood −log p(label), mean over samples (and over the labels of a sample)",
  ],
  CalibrationError: [
    "calibration error",
    "share",
    "lower",
    "expected calibration error: |accuracy − mean highest probability| in 15 equally wide bins of the highest probability, weighted by the samples in them",
  ],
  Agreement: [
    "agreement",
    "share",
    "higher",
    "share of samples on which BEFORE and AFTER predict the same class, right or wrong",
  ],
  Kl: [
    "KL",
    "nats",
    "lower",
    "Kullback–Leibler divergence of AFTER's class probabilities from BEFORE's, mean over samples",
  ],
  NewlyWrong: [
    "newly wrong",
    "share",
    "lower",
    "share of samples that BEFORE classifies correctly and AFTER does not",
  ],
  NewlyRight: [
    "newly right",
    "share",
    "higher",
    "share of samples that AFTER classifies correctly and BEFORE does not",
  ],
  Js: [
    "JS to the reference",
    "nats",
    "lower",
    "Jensen–Shannon divergence between a model's and the reference's class probabilities, mean over samples; 0 = equal, log 2 = disjoint",
  ],
} as const satisfies Record<string, MetricEntry>;
/** A metric that is measured on every set. */
export type SetMetric = keyof typeof onEverySet;
export type MetricOnSet = `${SetName}${SetMetric}`;

/** Good values on the forget set: mostly those of the retrained model, which never saw these samples. */
const onForget = (metric: SetMetric): Direction =>
  metric === "Js" || metric === "CalibrationError" ? "lower" : "reference";

const attack =
  "Members are the forget set, non-members the test set: 0.5 means that the forget set looks like unseen data; above, it is still remembered; below, it stands out by being *less* likely than unseen data, which gives it away as well.";

const others = {
  unlearningAccuracy: [
    "unlearning accuracy (UA)",
    "share",
    "reference",
    "1 − accuracy on the forget set; to be compared with the reference's, not to be maximised",
  ],
  averageGap: [
    "average gap",
    "share",
    "lower",
    "mean of |metric − the same metric of the reference| over UA, accuracy on retain and test, and MIA efficacy on confidence",
  ],
  miaEfficacy: [
    "MIA efficacy (confidence)",
    "share",
    "reference",
    "share of the forget set that the field's attack calls non-member: an SVM (RBF kernel, C = 3, gamma = 1 / features) trained on retain against test, equally many of both (a seeded draw, at most 10,000), on the probability of the label",
  ],
  miaEfficacyCorrectness: [
    "MIA efficacy (correctness)",
    "share",
    "reference",
    "the same attack on whether the label is predicted",
  ],
  miaEfficacyEntropy: ["MIA efficacy (entropy)", "share", "reference", "the same attack on −Σ p log p"],
  miaEfficacyModifiedEntropy: [
    "MIA efficacy (modified entropy)",
    "share",
    "reference",
    "the same attack on −(1 − p_y) log p_y − Σ_{i≠y} p_i log(1 − p_i) (Song & Mittal 2021)",
  ],
  miaEfficacyProbabilities: [
    "MIA efficacy (probabilities)",
    "share",
    "reference",
    "the same attack on the whole probability vector",
  ],
  miaAuc: [
    "membership AUC",
    "area",
    "half",
    `area under the ROC curve of an attack that calls samples with a high probability of their label members. ${attack}`,
  ],
  miaBalancedAccuracy: [
    "membership balanced accuracy",
    "share",
    "half",
    "½ (true positive rate + true negative rate) of the same attack at its best threshold; chosen on the same samples, so slightly above ½ by chance",
  ],
  miaTprAt1: [
    "membership TPR at 1 % FPR",
    "share",
    "lower",
    "share of the forget set that the same attack finds while it accuses at most 1 % of the test set",
  ],
  miaTprAt01: [
    "membership TPR at 0.1 % FPR",
    "share",
    "lower",
    "share of the forget set that the same attack finds while it accuses at most 0.1 % of the test set",
  ],
  lossThresholdAccuracy: [
    "loss threshold attack",
    "share",
    "half",
    "balanced accuracy of calling a sample a member when its loss is at most the mean loss on retain (Yeom et al. 2018)",
  ],
  maxConfidenceAuc: [
    "confidence attack AUC",
    "area",
    "half",
    "area under the ROC curve of an attack that looks at the highest probability only and needs no label (Salem et al. 2019)",
  ],
  liraAuc: [
    "LiRA AUC",
    "area",
    "half",
    "area under the ROC curve of the likelihood-ratio attack with the given shadow models (Carlini et al. 2022)",
  ],
  liraTprAt1: [
    "LiRA TPR at 1 % FPR",
    "share",
    "lower",
    "share of the forget set that LiRA finds while it accuses at most 1 % of the test set",
  ],
  liraTprAt01: [
    "LiRA TPR at 0.1 % FPR",
    "share",
    "lower",
    "share of the forget set that LiRA finds while it accuses at most 0.1 % of the test set",
  ],
  uLiraAuc: [
    "U-LiRA AUC",
    "area",
    "half",
    "LiRA whose member models were trained on the sample and then made to forget it (Hayes et al. 2024)",
  ],
  uLiraTprAt1: [
    "U-LiRA TPR at 1 % FPR",
    "share",
    "lower",
    "share of the forget set that U-LiRA finds while it accuses at most 1 % of the test set",
  ],
  rmiaAuc: [
    "RMIA AUC",
    "area",
    "half",
    "area under the ROC curve of the robust membership attack with the given shadow models (Zarifzadeh et al. 2024); half of the test set is its population",
  ],
  rmiaTprAt1: [
    "RMIA TPR at 1 % FPR",
    "share",
    "lower",
    "share of the forget set that RMIA finds while it accuses at most 1 % of the other half of the test set",
  ],
  relearnSteps: [
    "steps to relearn",
    "number",
    "reference",
    "optimiser steps on the forget set until its accuracy is BEFORE's again; far fewer than the reference needs means the knowledge was hidden, not removed",
  ],
  latencyRatio: [
    "latency ratio",
    "number",
    "lower",
    "time of one run of AFTER over one of BEFORE, median of runs measured in turn",
  ],
  latency: ["latency", "milliseconds", "lower", "time of one run, median, measured in turn"],
  bytes: ["size", "bytes", "lower", "bytes of the model file, external data included"],
  changedTensors: ["changed tensors", "number", "lower", "tensors with at least one different element"],
  relativeChange: [
    "relative weight change",
    "share",
    "lower",
    "‖after − before‖ / ‖before‖ over all float weights",
  ],
  nonFiniteOutputs: [
    "outputs that are not numbers",
    "number",
    "lower",
    "samples of all sets on which the model gives NaN or infinity",
  ],
} as const satisfies Record<string, MetricEntry>;
export type OtherMetric = keyof typeof others;
/** Name of a metric in reports and gates; docs/evaluation.md explains each. */
export type MetricName = MetricOnSet | OtherMetric;

const define = ([title, unit, good, meaning]: MetricEntry): Definition => ({ title, unit, good, meaning });

/** Every metric, by its name in the JSON report and in gates. */
export const glossary = Object.fromEntries([
  ...SETS.flatMap((set) =>
    Object.entries(onEverySet).map(([metric, [title, unit, good, meaning]]) => [
      `${set}${metric}`,
      define([`${set} ${title}`, unit, set === "forget" ? onForget(metric as SetMetric) : good, meaning]),
    ]),
  ),
  ...Object.entries(others).map(([name, entry]) => [name, define(entry)]),
]) as { readonly [M in MetricName]: Definition };

export const metricNames = Object.keys(glossary) as readonly MetricName[];
/** Metrics of an `--also` set, whose names have no set in front. */
export const setMetrics = Object.keys(onEverySet) as readonly SetMetric[];
/** Name of a set's metric in the report of an `--also` set: `accuracy`. */
export const uncapitalized = (metric: string): string => `${metric[0]!.toLowerCase()}${metric.slice(1)}`;
