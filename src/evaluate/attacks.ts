import { mean } from "../tasks/numbers.ts";
import type { Column } from "../tasks/task.ts";
import { bootstrapMeans, type Interval } from "./bootstrap.ts";
import { columnsOf } from "./columns.ts";
import {
  type CompareOptions,
  type Figures,
  finite,
  LABELS_ONLY,
  type Leak,
  type ModelAnswers,
  NEEDS_CLASSES,
  NO_TEST,
  NOT_NUMBERS,
} from "./comparison.ts";
import type { MetricName } from "./glossary.ts";
import {
  type AttackedSets,
  drawSubset,
  type MembershipFeature,
  membershipCalls,
  membershipFeatures,
} from "./membership.ts";
import { areaInterval, areaUnder, bestBalancedAccuracy, type Roc, rocCurve, truePositiveAt } from "./roc.ts";
import { attackable } from "./scored.ts";
import { liraScores, rmiaScores } from "./shadow.ts";

/** ROC curve and area of an attack that gives each sample a score. */
interface Attack {
  readonly roc: Roc;
  readonly auc: number;
  readonly interval: Interval;
}

function attackWith(members: Float64Array, others: Float64Array): Attack {
  const roc = rocCurve(members, others);
  return { roc, auc: areaUnder(roc), interval: areaInterval(members, others) };
}

/** The membership figures of one model. */
export interface MembershipFigures {
  readonly values: Partial<Record<MetricName, number>>;
  readonly intervals: Partial<Record<MetricName, Interval>>;
  readonly roc: Roc;
}

/** The sets as the membership attacks need them, or the reason why these cannot run. */
export function attackedSets({ forget, retain, test }: ModelAnswers): AttackedSets | string {
  if (!forget.task.classes) return NEEDS_CLASSES;
  if (!test) return NO_TEST;
  const [f, r, t] = [attackable(forget), attackable(retain), attackable(test)];
  if (!f || !r || !t) return LABELS_ONLY;
  const finite = [forget, retain, test].every((set) => columnsOf(set).loss?.every(Number.isFinite));
  return finite ? { forget: f, retain: r, test: t } : NOT_NUMBERS;
}

/** Runs every membership attack on one model, or returns the reason why that is impossible. */
export function membershipOf(
  answers: ModelAnswers,
  { seed, shadows }: CompareOptions,
): MembershipFigures | string {
  const sets = attackedSets(answers);
  if (typeof sets === "string") return sets;
  const [f, r, t] = [columnsOf(answers.forget), columnsOf(answers.retain), columnsOf(answers.test!)];
  const counts = { forget: sets.forget.labels.length, test: sets.test.labels.length };

  const values: Partial<Record<MetricName, number>> = {};
  const intervals: Partial<Record<MetricName, Interval>> = {};
  for (const feature of membershipFeatures) {
    const calls = membershipCalls(sets, feature, seed);
    const name = efficacyName(feature);
    values[name] = mean(calls);
    const [interval] = bootstrapMeans([calls], seed);
    if (interval) intervals[name] = interval;
  }
  const add = (
    prefix: "lira" | "uLira" | "rmia",
    scores: Float64Array | undefined,
    others: readonly number[],
  ) => {
    if (!scores) return;
    const { roc, auc, interval } = attackWith(
      scores.subarray(0, counts.forget),
      Float64Array.from(others, (i) => scores[i]!),
    );
    values[`${prefix}Auc`] = auc;
    intervals[`${prefix}Auc`] = interval;
    values[`${prefix}TprAt1`] = truePositiveAt(roc, 0.01);
    if (prefix === "lira") values.liraTprAt01 = truePositiveAt(roc, 0.001);
  };
  if (shadows && shadows.length > 0) {
    const target = Float64Array.from([...f.confidence!, ...t.confidence!]);
    const outside = Array.from({ length: counts.test }, (_, i) => counts.forget + i);
    add("lira", liraScores(target, shadows, { unlearned: false }), outside);
    add("uLira", liraScores(target, shadows, { unlearned: true }), outside);
    const drawn = new Set(drawSubset(counts.test, Math.floor(counts.test / 2), seed));
    const population = outside.filter((_, i) => drawn.has(i));
    add(
      "rmia",
      rmiaScores(target, shadows, population),
      outside.filter((_, i) => !drawn.has(i)),
    );
  }
  const { roc, auc, interval } = attackWith(f.confidence!, t.confidence!);
  values.miaAuc = auc;
  intervals.miaAuc = interval;
  values.miaBalancedAccuracy = bestBalancedAccuracy(roc);
  values.miaTprAt1 = truePositiveAt(roc, 0.01);
  values.miaTprAt01 = truePositiveAt(roc, 0.001);
  const threshold = mean(r.loss!);
  const called = (column: Column) => mean(column.map((loss) => Number(loss <= threshold)));
  values.lossThresholdAccuracy = (called(f.loss!) + 1 - called(t.loss!)) / 2;
  const peak = attackWith(f.peak!, t.peak!);
  values.maxConfidenceAuc = peak.auc;
  intervals.maxConfidenceAuc = peak.interval;
  return { values, intervals, roc };
}

const efficacyName = (feature: MembershipFeature): MetricName =>
  feature === "confidence"
    ? "miaEfficacy"
    : (`miaEfficacy${feature[0]!.toUpperCase()}${feature.slice(1)}` as MetricName);

/**
 * Compares the interval of the membership AUC with the AUC of a model that never saw the forget set: the
 * reference's if there is one, else ½.
 */
export function leakOf(
  membership: MembershipFigures | string,
  reference: MembershipFigures | string | undefined,
): Leak {
  if (typeof membership === "string")
    return { verdict: "not measured", sentence: `Leak not measured: ${membership}.` };
  const [low, high] = membership.intervals.miaAuc!;
  const expected = typeof reference === "object" ? reference.values.miaAuc! : 0.5;
  const like = typeof reference === "object" ? "than it is to the reference" : "than unseen data";
  const range = `membership AUC ${membership.values.miaAuc!.toFixed(3)}, 95 % interval ${low.toFixed(3)} to ${high.toFixed(3)}, ${typeof reference === "object" ? "the reference" : "a coin"} ${expected.toFixed(3)}`;
  if (low > expected)
    return {
      verdict: "remembered",
      sentence: `The forget set is still recognisable: it is more likely ${like} (${range}).`,
    };
  if (high < expected)
    return {
      verdict: "over-forgotten",
      sentence: `The forget set stands out: it is less likely ${like}, which gives it away as well (${range}).`,
    };
  return {
    verdict: "none found",
    sentence: `This attack finds nothing: the forget set looks as it does ${typeof reference === "object" ? "to the reference" : "where it was never seen"} (${range}).`,
  };
}

const MEMBERSHIP_METRICS: readonly MetricName[] = [
  ...membershipFeatures.map(efficacyName),
  "miaAuc",
  "miaBalancedAccuracy",
  "miaTprAt1",
  "miaTprAt01",
  "lossThresholdAccuracy",
  "maxConfidenceAuc",
];
const SHADOW_METRICS: readonly MetricName[] = [
  "liraAuc",
  "liraTprAt1",
  "liraTprAt01",
  "uLiraAuc",
  "uLiraTprAt1",
  "rmiaAuc",
  "rmiaTprAt1",
];

/** The membership figures of all models, by metric. */
export function membershipTable(
  of: Partial<Record<"before" | "after" | "reference", MembershipFigures | string>>,
  { shadows }: CompareOptions,
): Figures {
  const out: Figures = {};
  for (const metric of [...MEMBERSHIP_METRICS, ...(shadows ? SHADOW_METRICS : [])]) {
    const value = (version: "before" | "after" | "reference") => {
      const known = of[version];
      return known === undefined || typeof known === "string" ? null : finite(known.values[metric]);
    };
    const interval = Object.fromEntries(
      (["before", "after"] as const).flatMap((side) => {
        const known = of[side];
        const range = typeof known === "object" ? known.intervals[metric] : undefined;
        return range ? [[side, range]] : [];
      }),
    );
    const reason = typeof of.after === "string" ? of.after : "the shadow models do not allow this attack";
    out[metric] = {
      before: value("before"),
      after: value("after"),
      ...(of.reference === undefined ? {} : { reference: value("reference") }),
      ...(Object.keys(interval).length > 0 ? { interval } : {}),
      ...(value("after") === null ? { reason } : {}),
    };
  }
  return out;
}
