import { mapSets, type Sets } from "../data/sets.ts";
import type { Dataset } from "../data/types.ts";
import { openFile } from "../engine/session.ts";
import { mean } from "../tasks/numbers.ts";
import type { BudgetUnit, Column } from "../tasks/task.ts";
import { attackedSets } from "./attacks.ts";
import { columnsOf } from "./columns.ts";
import type { ModelAnswers } from "./comparison.ts";
import { averageGap, gap } from "./gap.ts";
import { membershipEfficacy } from "./membership.ts";
import { type FileInterface, predictWith, type RunOptions } from "./predict.ts";
import type { Scored } from "./scored.ts";

/**
 * The four usual figures of unlearning (docs/method.md, "How unlearning is judged"), as fractions: UA = 1 −
 * forgetAccuracy, RA = retainAccuracy, TA = testAccuracy, and the MIA efficacy.
 */
export interface Evaluation {
  /**
   * With several labels per sample, accuracies are the share of labels that are right; null for a regression.
   */
  readonly forgetAccuracy: number | null;
  readonly retainAccuracy: number | null;
  readonly testAccuracy: number | null;
  /** Share of the forget set that the SVM attack on confidence calls non-members. */
  readonly miaEfficacy: number | null;
  readonly validationAccuracy: number | null;
  /** Mean losses, if the truth is not one class per sample: nats (mean over labels), or squared error. */
  readonly losses?: {
    readonly unit: Exclude<BudgetUnit, "accuracy">;
    readonly forget: number;
    readonly retain: number;
    readonly test: number | null;
    readonly validation: number | null;
  };
  /** Why a figure is null; absent if none of the four is. */
  readonly reason?: string;
}

export const METRICS = ["forgetAccuracy", "retainAccuracy", "testAccuracy", "miaEfficacy"] as const;
/** The four headline figures. */
export type Metric = (typeof METRICS)[number];

/** Outputs of one model file by set, kept so that they are not computed again. */
export type KnownAnswers = Map<Dataset, Scored>;

/**
 * Outputs of a model *file* on every set, by ONNX Runtime.
 * @param known outputs that exist already; new ones are added
 * @throws badInput TARGETS_SHAPE, LABEL_RANGE, HEAD_LOSS naming the sample, RUNTIME_REFUSED; INTERRUPTED
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
        const { task, truth } = set;
        const outputs = await predictWith(session, model, set, signal);
        const { kind, raw, count } = outputs;
        task.check(set, { units: raw.length / count, kind, output: model.head.output });
        known.set(set, { task, truth, outputs });
      }
    } finally {
      await session.release();
    }
  }
  return mapSets(sets, (set: Dataset) => known.get(set)!);
}

/**
 * The figures of a model from its outputs.
 * @param options `seed` of the attack's training samples; `miaEfficacy` if it is known already, null if it
 *   could not be measured
 */
export function evaluationOf(
  answers: ModelAnswers,
  options: { readonly seed?: number; readonly miaEfficacy?: number | null } = {},
): Evaluation {
  const { forget, retain, test, validation } = answers;
  const of = (column: Column | undefined) => (column ? mean(column) : null);
  const share = (set: Scored) => of(columnsOf(set).accuracy);
  const lossOf = (set: Scored | undefined) => of(set && columnsOf(set).loss);
  const attacked = attackedSets(answers);
  const miaEfficacy =
    options.miaEfficacy !== undefined
      ? options.miaEfficacy
      : typeof attacked === "string"
        ? null
        : membershipEfficacy(attacked, "confidence", options.seed ?? 0);
  const unit = forget.task.headlineLoss;
  return {
    forgetAccuracy: share(forget),
    retainAccuracy: share(retain),
    testAccuracy: test ? share(test) : null,
    validationAccuracy: validation ? share(validation) : null,
    miaEfficacy,
    ...(unit
      ? {
          losses: {
            unit,
            forget: lossOf(forget)!,
            retain: lossOf(retain)!,
            test: lossOf(test),
            validation: lossOf(validation),
          },
        }
      : {}),
    ...(typeof attacked === "string" ? { reason: attacked } : {}),
  };
}

/**
 * |metric − the reference's| as fractions; null if either is null. `average` is over those that are not null.
 */
export type Gap = { readonly [M in Metric]: number | null } & { readonly average: number | null };

export function gapTo(evaluation: Evaluation, reference: Evaluation): Gap {
  const gaps = Object.fromEntries(
    METRICS.map((metric) => [metric, gap(evaluation[metric], reference[metric])]),
  ) as { readonly [M in Metric]: number | null };
  return { ...gaps, average: averageGap(Object.values(gaps)) };
}
