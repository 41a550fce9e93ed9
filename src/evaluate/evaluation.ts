import { badInput } from "../../converters/errors.ts";
import type { Head } from "../../converters/import/model.ts";
import type { OnnxValueInfo } from "../../converters/onnx/model.ts";
import type { Sets } from "../data/sets.ts";
import type { Dataset } from "../unlearn/types.ts";
import { membershipEfficacy } from "./membership.ts";
import { accuracy, type Prediction, predict } from "./predict.ts";

/** How a file is run and read: what importing it found out. */
export interface FileInterface {
  readonly head: Head;
  readonly inputs: readonly OnnxValueInfo[];
  readonly fixedBatch: number | undefined;
}

/** The field's four figures (METHOD section 5), as fractions. UA = 1 − forgetAccuracy, RA = retainAccuracy, TA = testAccuracy. */
export interface Evaluation {
  readonly forgetAccuracy: number;
  readonly retainAccuracy: number;
  readonly testAccuracy: number | null;
  /** Share of the forget set that the SVM attack on confidence calls "not a member". */
  readonly miaEfficacy: number | null;
  readonly validationAccuracy: number | null;
  /** Why a figure is null; absent where none of the four is. */
  readonly reason?: string;
}

export const METRICS = ["forgetAccuracy", "retainAccuracy", "testAccuracy", "miaEfficacy"] as const;
export type Metric = (typeof METRICS)[number];

export interface EvaluateOptions {
  readonly threads?: number;
  /** Of the attack's training subset. */
  readonly seed?: number;
}

/** One set through a model file in ONNX Runtime. @throws badInput LABEL_RANGE naming the sample */
export async function predictSet(
  file: string,
  model: FileInterface,
  set: Dataset,
  options: EvaluateOptions = {},
): Promise<Prediction> {
  const prediction = await predict(file, set, { ...model, threads: options.threads });
  const { probabilities, classes } = prediction;
  const wrong = probabilities ? set.labels.findIndex((label) => label >= classes) : -1;
  if (wrong >= 0)
    throw badInput(
      "LABEL_RANGE",
      `${set.path}: sample ${wrong} has label ${set.labels[wrong]}, but the model knows the classes 0 to ${classes - 1}; mend the labels.`,
    );
  return prediction;
}

/** Measures a model *file*, run in ONNX Runtime, on the sets. */
export async function evaluateFile(
  file: string,
  model: FileInterface,
  sets: Sets,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const of = (set: Dataset) => predictSet(file, model, set, options);
  const [forget, retain] = [await of(sets.forget), await of(sets.retain)];
  const test = sets.test && (await of(sets.test));
  const figures = {
    forgetAccuracy: accuracy(forget, sets.forget.labels),
    retainAccuracy: accuracy(retain, sets.retain.labels),
    testAccuracy: test && sets.test ? accuracy(test, sets.test.labels) : null,
    validationAccuracy: sets.validation ? accuracy(await of(sets.validation), sets.validation.labels) : null,
  };
  if (!test || !sets.test)
    return {
      ...figures,
      miaEfficacy: null,
      reason: "no --test: test accuracy and the membership attack need samples the model never saw",
    };
  const attacked = (prediction: Prediction, set: Dataset) =>
    prediction.probabilities && {
      probabilities: prediction.probabilities,
      classes: prediction.classes,
      labels: set.labels,
    };
  const [members, others, forgotten] = [
    attacked(retain, sets.retain),
    attacked(test, sets.test),
    attacked(forget, sets.forget),
  ];
  if (!members || !others || !forgotten)
    return {
      ...figures,
      miaEfficacy: null,
      reason: "the model hands out labels only: the membership attack needs probabilities",
    };
  return {
    ...figures,
    miaEfficacy: membershipEfficacy(
      { retain: members, test: others, forget: forgotten },
      "confidence",
      options.seed ?? 0,
    ),
  };
}

/** |metric − the same metric of the reference|, fractions; null where either is. `average` is over those that are known. */
export type Gap = { readonly [M in Metric]: number | null } & { readonly average: number | null };

export function gapTo(evaluation: Evaluation, reference: Evaluation): Gap {
  const gap = (metric: Metric) => {
    const [a, b] = [evaluation[metric], reference[metric]];
    return a === null || b === null ? null : Math.abs(a - b);
  };
  const gaps = {
    forgetAccuracy: gap("forgetAccuracy"),
    retainAccuracy: gap("retainAccuracy"),
    testAccuracy: gap("testAccuracy"),
    miaEfficacy: gap("miaEfficacy"),
  };
  const known = Object.values(gaps).filter((g) => g !== null);
  return { ...gaps, average: known.reduce((sum, g) => sum + g, 0) / known.length };
}
