import { mean } from "../tasks/numbers.ts";
import type { ClassReading, Column, Columns } from "../tasks/task.ts";
import { leakOf, membershipOf, membershipTable } from "./attacks.ts";
import { bootstrapMeans } from "./bootstrap.ts";
import { calibrationError, columnsOf } from "./columns.ts";
import {
  type ClassFigure,
  type CompareOptions,
  type Comparison,
  type Figure,
  type Figures,
  finite,
  LABELS_ONLY,
  type ModelAnswers,
  NEEDS_CLASSES,
  NO_TEST,
  NOT_NUMBERS,
  OTHER_CLASSES,
} from "./comparison.ts";
import { averageGap, gap } from "./gap.ts";
import { SETS, type SetMetric, type SetName, uncapitalized } from "./glossary.ts";
import type { Roc } from "./roc.ts";
import type { Scored } from "./scored.ts";

/** Means of both models' columns, their difference, and a bootstrap interval for each. */
function setFigures(
  before: Scored,
  after: Scored,
  reference: Scored | undefined,
  seed: number,
): Partial<Record<SetMetric, Figure>> {
  const [b, a] = [columnsOf(before), columnsOf(after)];
  const r = reference && columnsOf(reference);
  const { task, truth } = before;
  const pair = task.compare(before.outputs, after.outputs, truth);
  // A metric that only this task has is shown if BEFORE has it. The others are always shown; null has a
  // reason.
  const shown = Object.entries(task.metrics).filter(([metric, of]) => b[of] || !(metric in task.glossary));
  const columns: Column[] = [];
  const wanted = new Map<string, number>();
  const add = (key: string, column: Column | undefined): void => {
    if (column) wanted.set(key, columns.push(column) - 1);
  };
  const both = (key: string, x: Column | undefined, y: Column | undefined): void => {
    add(`${key}.before`, x);
    add(`${key}.after`, y);
    if (x && y)
      add(
        `${key}.change`,
        y.map((value, i) => value - x[i]!),
      );
  };
  for (const [metric, of] of shown) both(metric, b[of], a[of]);
  add("Agreement.after", pair.agreement);
  add("Kl.after", pair.kl);
  add("NewlyWrong.after", pair.newlyWrong);
  add("NewlyRight.after", pair.newlyRight);
  const js = (of: Scored) => reference && task.classes?.jensenShannon(of.outputs, reference.outputs);
  both("Js", js(before), js(after));
  const intervals = bootstrapMeans(columns, seed);

  const unmeasured = !task.classes ? NEEDS_CLASSES : b.loss && a.loss ? OTHER_CLASSES : LABELS_ONLY;
  const why = (value: number | null, measured: boolean): { readonly reason?: string } =>
    value !== null ? {} : { reason: measured ? NOT_NUMBERS : unmeasured };
  const figure = (metric: string, ofReference?: Column): Figure => {
    const meanOf = (side: string) => {
      const at = wanted.get(`${metric}.${side}`);
      return at === undefined ? null : finite(mean(columns[at]!));
    };
    const interval = Object.fromEntries(
      (["before", "after", "change"] as const).flatMap((side) => {
        const at = wanted.get(`${metric}.${side}`);
        const known = at === undefined ? undefined : intervals[at];
        return known ? [[side, known]] : [];
      }),
    );
    const value = meanOf("after");
    return {
      before: meanOf("before"),
      after: value,
      ...(ofReference ? { reference: finite(mean(ofReference)) } : {}),
      ...(Object.keys(interval).length > 0 ? { interval } : {}),
      ...why(value, wanted.has(`${metric}.after`)),
    };
  };
  const calibration = (c: Columns) =>
    c.peak && c.accuracy ? finite(calibrationError(c.accuracy, c.peak)) : null;
  return {
    ...Object.fromEntries(shown.map(([metric, of]) => [metric, figure(metric, r?.[of])])),
    CalibrationError: {
      before: calibration(b),
      after: calibration(a),
      ...(r ? { reference: calibration(r) } : {}),
      ...why(calibration(a), a.peak !== undefined),
    },
    Agreement: figure("Agreement"),
    Kl: figure("Kl"),
    NewlyWrong: figure("NewlyWrong"),
    NewlyRight: figure("NewlyRight"),
    ...(reference ? { Js: figure("Js") } : {}),
  };
}

function perClass({ predicted }: ClassReading, before: Scored, after: Scored): readonly ClassFigure[] {
  const [b, a] = [predicted(before.outputs), predicted(after.outputs)];
  const tally = new Map<number, { count: number; before: number; after: number }>();
  before.truth.data.forEach((label, i) => {
    const entry = tally.get(label) ?? { count: 0, before: 0, after: 0 };
    entry.count++;
    entry.before += Number(b[i] === label);
    entry.after += Number(a[i] === label);
    tally.set(label, entry);
  });
  return [...tally]
    .sort(([a], [b]) => a - b)
    .map(([label, t]) => ({ label, count: t.count, before: t.before / t.count, after: t.after / t.count }));
}

const THINNED = 200;
function thinned({ falsePositive, truePositive }: Roc): readonly (readonly [number, number])[] {
  const last = falsePositive.length - 1;
  const every = Math.max(1, last / (THINNED - 1));
  const kept = new Set<number>([0, last]);
  for (let at = 0; at < last; at += every) kept.add(Math.round(at));
  return [...kept].sort((a, b) => a - b).map((i) => [falsePositive[i]!, truePositive[i]!]);
}

const HISTOGRAM = 20;
function histogram(confidence: Column): readonly number[] {
  const bins = new Array<number>(HISTOGRAM).fill(0);
  for (const p of confidence)
    if (Number.isFinite(p)) bins[Math.min(HISTOGRAM - 1, Math.floor(p * HISTOGRAM))]!++;
  return bins;
}

/** Samples for which a model's outputs are NaN or infinite. */
const nonFinite = ({ forget, retain, test, also }: ModelAnswers): number =>
  [forget, retain, ...(test ? [test] : []), ...Object.values(also)].reduce(
    (total, set) => columnsOf(set).broken.reduce((sum, value) => sum + value, total),
    0,
  );

const GAP_METRICS = ["unlearningAccuracy", "retainAccuracy", "testAccuracy", "miaEfficacy"] as const;

/**
 * Compares two models, and a reference, by their outputs: utility, forgetting and membership figures with
 * bootstrap intervals, accuracies per class, and the curves of a report. The outputs of all models are for
 * the same samples in the same order.
 */
export function compareAnswers(
  before: ModelAnswers,
  after: ModelAnswers,
  reference: ModelAnswers | undefined,
  options: CompareOptions,
): Comparison {
  const figures: Figures = {};
  const classTables: Partial<Record<SetName, readonly ClassFigure[]>> = {};
  const confidence: { -readonly [S in SetName]?: { before: readonly number[]; after: readonly number[] } } =
    {};
  for (const set of SETS) {
    const [b, a] = [before[set], after[set]];
    if (!b || !a) {
      figures[`${set}Accuracy`] = { before: null, after: null, reason: NO_TEST };
      continue;
    }
    for (const [metric, figure] of Object.entries(setFigures(b, a, reference?.[set], options.seed)))
      figures[`${set}${metric as SetMetric}`] = figure;
    if (b.task.classes) classTables[set] = perClass(b.task.classes, b, a);
    const [cb, ca] = [columnsOf(b).confidence, columnsOf(a).confidence];
    if (cb && ca) confidence[set] = { before: histogram(cb), after: histogram(ca) };
  }
  figures.unlearningAccuracy = complement(figures.forgetAccuracy!);
  figures.nonFiniteOutputs = { before: nonFinite(before), after: nonFinite(after) };

  const membership = {
    before: membershipOf(before, options),
    after: membershipOf(after, options),
    reference: reference && membershipOf(reference, options),
  };
  Object.assign(figures, membershipTable(membership, options));
  if (reference) {
    const average = (side: "before" | "after") =>
      averageGap(GAP_METRICS.map((metric) => gap(figures[metric]?.[side], figures[metric]?.reference)));
    figures.averageGap = { before: average("before"), after: average("after"), reference: 0 };
  }

  const rocs = [membership.before, membership.after];
  const [rocBefore, rocAfter] = rocs.map((m) => (typeof m === "string" ? undefined : thinned(m.roc)));
  return {
    figures,
    perClass: classTables,
    also: Object.fromEntries(
      Object.keys(before.also).map((name) => [
        name,
        Object.fromEntries(
          Object.entries(
            setFigures(before.also[name]!, after.also[name]!, reference?.also[name], options.seed),
          ).map(([metric, figure]) => [uncapitalized(metric), figure]),
        ),
      ]),
    ),
    leak: {
      before: leakOf(membership.before, membership.reference),
      after: leakOf(membership.after, membership.reference),
    },
    curves: { ...(rocBefore && rocAfter ? { roc: { before: rocBefore, after: rocAfter } } : {}), confidence },
  };
}

/** The figure of 1 − x, given that of x. */
function complement({ before, after, reference, interval, reason }: Figure): Figure {
  const flip = (value: number | null) => (value === null ? null : 1 - value);
  const flipped = Object.fromEntries(
    Object.entries(interval ?? {}).map(([side, [low, high]]) => [
      side,
      side === "change" ? [0 - high, 0 - low] : [1 - high, 1 - low],
    ]),
  );
  return {
    before: flip(before),
    after: flip(after),
    ...(reference === undefined ? {} : { reference: flip(reference) }),
    ...(interval ? { interval: flipped } : {}),
    ...(reason === undefined ? {} : { reason }),
  };
}
