import { badInput } from "../../converters/errors.ts";
import type { Head } from "../../converters/import/model.ts";
import type { Sets } from "../data/sets.ts";
import type { Dataset, VectorTargets } from "../data/types.ts";
import { openFile } from "../engine/session.ts";
import { type Column, columnsOf, mean } from "./columns.ts";
import { type ModelAnswers, NEEDS_CLASSES, NOT_NUMBERS } from "./comparison.ts";
import { membershipEfficacy } from "./membership.ts";
import { type FileInterface, type Prediction, predictWith, type RunOptions } from "./predict.ts";
import { attackable, type Scored, scored, scoredVectors } from "./scored.ts";

/** The field's four figures (METHOD section 5), as fractions. UA = 1 − forgetAccuracy, RA = retainAccuracy, TA = testAccuracy. */
export interface Evaluation {
  /** Of several labels per sample, the share of labels that is right; null for a regression, as the other accuracies. */
  readonly forgetAccuracy: number | null;
  readonly retainAccuracy: number | null;
  readonly testAccuracy: number | null;
  /** Share of the forget set that the SVM attack on confidence calls "not a member". */
  readonly miaEfficacy: number | null;
  readonly validationAccuracy: number | null;
  /** Mean losses, where the targets are not classes: nats (mean over labels), or squared error. */
  readonly losses?: {
    readonly unit: "nats" | "squared error";
    readonly forget: number;
    readonly retain: number;
    readonly test: number | null;
    readonly validation: number | null;
  };
  /** Why a figure is null; absent where none of the four is. */
  readonly reason?: string;
}

export const METRICS = ["forgetAccuracy", "retainAccuracy", "testAccuracy", "miaEfficacy"] as const;
/** The four headline figures. */
export type Metric = (typeof METRICS)[number];

export interface EvaluateOptions {
  /** Of the attack's training subset. */
  readonly seed?: number;
}

/** Whether a file's output is what these targets are compared with. @throws badInput TARGETS_SHAPE, HEAD_LOSS */
function checkVectors(
  { path }: Dataset,
  { kind, width }: VectorTargets,
  { output, outputKind }: Head,
  units: number,
): void {
  if (width !== units)
    throw badInput(
      "TARGETS_SHAPE",
      `${path} has ${width} targets per sample, but the model has ${units} outputs; mend "y".`,
    );
  const bits = kind === "multi-label";
  if (outputKind !== "logits" && !(bits && outputKind === "sigmoid"))
    throw badInput(
      "HEAD_LOSS",
      bits
        ? `The output "${output}" holds ${outputKind}, which says nothing of several labels per sample; --loss binary-cross-entropy takes logits or a sigmoid.`
        : `The output "${output}" is squashed (it holds ${outputKind === "sigmoid" ? "a sigmoid" : outputKind}), and training would look behind that; compare its own values with --logits ${output}.`,
    );
}

/** Whether these targets are what the model answers. @throws badInput LABEL_RANGE naming the sample; as {@link checkVectors} */
function checkTruth(set: Dataset, { head }: FileInterface, prediction: Prediction): void {
  const { probabilities, classes } = prediction;
  if (set.targets) {
    checkVectors(set, set.targets, head, prediction.raw.length / prediction.count);
    return;
  }
  const wrong = probabilities ? set.labels.findIndex((label) => label >= classes) : -1;
  if (wrong >= 0)
    throw badInput(
      "LABEL_RANGE",
      `${set.path}: sample ${wrong} has label ${set.labels[wrong]}, but the model knows the classes 0 to ${classes - 1}; mend the labels.`,
    );
}

/** Answers of one model file by the set it was asked; what stands here is not computed again. */
export type KnownAnswers = Map<Dataset, Scored>;

/**
 * A model *file*'s answers on every set, run in ONNX Runtime: opened once, each set once.
 * @param known answers from before; new ones are added
 * @throws badInput LABEL_RANGE naming the sample, RUNTIME_REFUSED; INTERRUPTED
 */
export async function answersOf(
  model: FileInterface,
  sets: Sets,
  { threads, signal }: RunOptions = {},
  known: KnownAnswers = new Map(),
): Promise<ModelAnswers> {
  const { forget, retain, test, validation, also = {} } = sets;
  const asked = [forget, retain, test, validation, ...Object.values(also)].filter((set) => set !== undefined);
  if (asked.some((set) => !known.has(set))) {
    const session = await openFile(model.source, { threads });
    try {
      for (const set of asked) {
        if (known.has(set)) continue;
        const prediction = await predictWith(session, model, set, signal);
        checkTruth(set, model, prediction);
        const { outputKind } = model.head;
        known.set(
          set,
          set.targets
            ? scoredVectors(prediction, outputKind, set.targets)
            : scored(prediction, outputKind, set.labels),
        );
      }
    } finally {
      await session.release();
    }
  }
  const of = (set: Dataset) => known.get(set)!;
  return {
    forget: of(forget),
    retain: of(retain),
    test: test && of(test),
    validation: validation && of(validation),
    also: Object.fromEntries(Object.entries(also).map(([name, set]) => [name, of(set)])),
  };
}

const NO_TEST = "no --test: test accuracy and the membership attack need samples the model never saw";
const LABELS_ONLY = "the model hands out labels only: the membership attack needs probabilities";

/** The four figures from a model's answers. @param miaEfficacy where it is known already; null where it could not be measured */
export function evaluationOf(
  answers: ModelAnswers,
  options: EvaluateOptions & { readonly miaEfficacy?: number | null } = {},
): Evaluation {
  const { forget, retain, test, validation } = answers;
  const of = (column: Column | undefined) => (column ? mean(column) : null);
  const share = (set: Scored) => of(columnsOf(set).accuracy);
  const lossOf = (set: Scored | undefined) => of(set && columnsOf(set).loss);
  const [f, r, t] = [attackable(forget), attackable(retain), test && attackable(test)];
  const known = options.miaEfficacy;
  const miaEfficacy =
    known !== undefined
      ? known
      : f && r && t
        ? membershipEfficacy({ retain: r, test: t, forget: f }, "confidence", options.seed ?? 0)
        : null;
  const { vector } = forget;
  const reason = vector
    ? NEEDS_CLASSES
    : !test
      ? NO_TEST
      : miaEfficacy !== null
        ? undefined
        : f
          ? NOT_NUMBERS
          : LABELS_ONLY;
  return {
    forgetAccuracy: share(forget),
    retainAccuracy: share(retain),
    testAccuracy: test ? share(test) : null,
    validationAccuracy: validation ? share(validation) : null,
    miaEfficacy,
    ...(vector
      ? {
          losses: {
            unit: vector.targets.kind === "regression" ? ("squared error" as const) : ("nats" as const),
            forget: lossOf(forget)!,
            retain: lossOf(retain)!,
            test: lossOf(test),
            validation: lossOf(validation),
          },
        }
      : {}),
    ...(reason === undefined ? {} : { reason }),
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
  return {
    ...gaps,
    average: known.length === 0 ? null : known.reduce((sum, g) => sum + g, 0) / known.length,
  };
}
