import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bootstrapMeans } from "../../../src/evaluate/bootstrap.ts";
import { columnsOf } from "../../../src/evaluate/columns.ts";
import type { ModelAnswers } from "../../../src/evaluate/comparison.ts";
import { compareAnswers } from "../../../src/evaluate/figures.ts";
import { glossary, SETS } from "../../../src/evaluate/glossary.ts";
import type { ScoredSet } from "../../../src/evaluate/membership.ts";
import { areaInterval, areaUnder, rocCurve, truePositiveAt } from "../../../src/evaluate/roc.ts";
import type { Scored } from "../../../src/evaluate/scored.ts";
import { liraScores, rmiaScores, type Shadow } from "../../../src/evaluate/shadow.ts";
import { classification } from "../../../src/tasks/classification.ts";
import { mean } from "../../../src/tasks/numbers.ts";
import type { Outputs } from "../../../src/tasks/task.ts";
import { truthOf } from "../../../src/tasks/truth.ts";
import { fixtures, readTable } from "./tables.ts";

interface RecordedAttack {
  readonly auc: number;
  readonly se: number;
  readonly tprAt1: number;
  readonly tprAt01: number;
  readonly balanced: number;
}
interface RecordedModel {
  readonly utility: Record<string, Record<string, number | null>>;
  readonly confidence: RecordedAttack;
  readonly peak: RecordedAttack;
  readonly lossThreshold: number;
}
/** Recorded from scikit-learn and SciPy by fixtures/make_figures.py. */
const recorded = JSON.parse(readFileSync(join(fixtures, "figures.json"), "utf8")) as Record<
  string,
  { before: RecordedModel; after: RecordedModel; pair: Record<string, Record<string, number>> }
>;

const scored = (labels: Int32Array, raw: Float32Array, kind: Outputs["kind"]): Scored => ({
  task: classification,
  truth: truthOf(labels),
  outputs: { count: labels.length, raw, kind },
});
const scoredFromProbabilities = ({ labels, probabilities }: ScoredSet) =>
  scored(labels, probabilities, "probabilities");
const answers = (sets: Record<(typeof SETS)[number], ScoredSet>): ModelAnswers => ({
  forget: scoredFromProbabilities(sets.forget),
  retain: scoredFromProbabilities(sets.retain),
  test: scoredFromProbabilities(sets.test),
  also: {},
});

/** p^0.6 normalised, every seventh sample's classes rolled by one: as in make_figures.py. */
function flattened({ probabilities, classes, labels }: ScoredSet): ScoredSet {
  const out = new Float32Array(probabilities.length);
  for (let i = 0; i < labels.length; i++) {
    const row = Array.from(probabilities.subarray(i * classes, (i + 1) * classes), (p) => p ** 0.6);
    const total = row.reduce((a, b) => a + b, 0);
    row.forEach((p, c) => {
      out[i * classes + (i % 7 === 0 ? (c + 1) % classes : c)] = p / total;
    });
  }
  return { probabilities: out, classes, labels };
}

test.each(["digits", "saturated"])(
  "%s: utility and attack figures are scikit-learn's and SciPy's",
  async (table) => {
    const sets = await readTable(table);
    const changed = {
      forget: flattened(sets.forget),
      retain: flattened(sets.retain),
      test: flattened(sets.test),
    };
    // The reference is BEFORE itself: gaps of BEFORE are 0, its JS divergence too.
    const { figures, leak } = compareAnswers(answers(sets), answers(changed), answers(sets), { seed: 0 });
    const wanted = recorded[table]!;
    const close = (ours: number | null | undefined, theirs: number, what: string) =>
      expect(Math.abs(ours! - theirs), what).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(theirs)));
    for (const version of ["before", "after"] as const) {
      for (const set of SETS)
        for (const [metric, value] of Object.entries(wanted[version].utility[set]!)) {
          const ours = figures[`${set}${metric}` as keyof typeof figures]?.[version];
          if (value === null) expect(ours).toBeUndefined();
          else close(ours, value, `${version} ${set}${metric}`);
        }
      const { confidence, peak, lossThreshold } = wanted[version];
      close(figures.miaAuc![version], confidence.auc, "auc");
      close(figures.miaBalancedAccuracy![version], confidence.balanced, "balanced accuracy");
      close(figures.miaTprAt1![version], confidence.tprAt1, "TPR at 1 %");
      close(figures.miaTprAt01![version], confidence.tprAt01, "TPR at 0.1 %");
      close(figures.lossThresholdAccuracy![version], lossThreshold, "loss threshold");
      close(figures.maxConfidenceAuc![version], peak.auc, "confidence attack");
      const [low, high] = figures.miaAuc!.interval![version]!;
      close((high - low) / 2, 1.959964 * confidence.se, "DeLong's standard error");
    }
    for (const set of SETS) {
      for (const metric of ["Agreement", "Kl", "NewlyWrong", "NewlyRight"] as const)
        close(figures[`${set}${metric}`]!.after, wanted.pair[set]![metric]!, `${set}${metric}`);
      close(figures[`${set}Js`]!.after, wanted.pair[set]!.Js!, `${set}Js`);
      close(figures[`${set}Js`]!.before, 0, `${set}Js of BEFORE`);
    }
    close(figures.averageGap!.before, 0, "average gap of BEFORE");
    const gaps = (["unlearningAccuracy", "retainAccuracy", "testAccuracy", "miaEfficacy"] as const).map((m) =>
      Math.abs(figures[m]!.after! - figures[m]!.before!),
    );
    close(figures.averageGap!.after, gaps.reduce((a, b) => a + b, 0) / 4, "average gap");
    // BEFORE is its own reference here: whatever it scores is what is expected.
    expect(leak.before.verdict).toBe("none found");
    const alone = compareAnswers(answers(sets), answers(changed), undefined, { seed: 0 });
    expect(alone.leak.before.verdict).toBe(table === "digits" ? "over-forgotten" : "remembered");
    for (const name of Object.keys(figures)) expect(glossary, name).toHaveProperty(name);
  },
);

/** Samples of class 0 of two, the given probabilities of it. */
const withConfidence = (confidences: readonly number[]): ScoredSet => ({
  probabilities: Float32Array.from(confidences.flatMap((p) => [p, 1 - p])),
  classes: 2,
  labels: new Int32Array(confidences.length),
});
const spread = (count: number, low: number, high: number) =>
  Array.from({ length: count }, (_, i) => low + ((high - low) * (i + 0.5)) / count);

test("no forgetting and perfect forgetting get the extreme scores, over-forgetting its own name", () => {
  const retain = withConfidence(spread(100, 0.9, 0.99));
  const outside = withConfidence(spread(100, 0.5, 0.6));
  const model = (forget: ScoredSet) => answers({ forget, retain, test: outside });
  const none = withConfidence(spread(80, 0.9, 0.99));
  const perfect = withConfidence(spread(80, 0.5, 0.6));
  const over = withConfidence(spread(80, 0.01, 0.1));
  const { figures, leak } = compareAnswers(model(none), model(perfect), undefined, { seed: 1 });
  expect(figures.miaAuc!.before).toBe(1);
  expect(figures.miaTprAt01!.before).toBe(1);
  expect(figures.miaEfficacy!.before).toBe(0);
  expect(leak.before.verdict).toBe("remembered");
  expect(figures.miaAuc!.after).toBeCloseTo(0.5, 2);
  expect(figures.miaEfficacy!.after).toBe(1);
  expect(leak.after.verdict).toBe("none found");
  const scar = compareAnswers(model(none), model(over), undefined, { seed: 1 });
  expect(scar.figures.miaAuc!.after).toBe(0);
  expect(scar.figures.unlearningAccuracy!.after).toBe(1);
  expect(scar.leak.after.verdict).toBe("over-forgotten");
  // Without a test set the attacks say why they could not run.
  const untested = compareAnswers(
    { ...model(none), test: undefined },
    { ...model(perfect), test: undefined },
    undefined,
    {
      seed: 1,
    },
  );
  expect(untested.figures.miaAuc).toEqual({
    before: null,
    after: null,
    reason: expect.stringContaining("test set"),
  });
  expect(untested.leak.after.verdict).toBe("not measured");
});

test("outputs that are not numbers are counted, and no figure made from them is a number", () => {
  const good = withConfidence(spread(20, 0.6, 0.9));
  const broken = { ...good, probabilities: good.probabilities.slice() };
  broken.probabilities.fill(Number.NaN, 6, 8);
  const { figures } = compareAnswers(
    answers({ forget: good, retain: good, test: good }),
    answers({ forget: good, retain: broken, test: good }),
    undefined,
    { seed: 0 },
  );
  expect(figures.nonFiniteOutputs).toEqual({ before: 0, after: 1 });
  expect(figures.retainLoss!.after).toBeNull();
  expect(figures.retainLoss!.reason).toContain("not numbers");
  expect(figures.retainAccuracy!.after).toBe(19 / 20);
  expect(figures.miaAuc!.after).toBeNull();
  expect(JSON.parse(JSON.stringify(figures))).toEqual(figures);
});

test("models with different numbers of classes: what compares their probabilities says so", () => {
  const two = withConfidence(spread(20, 0.6, 0.9));
  const three = {
    ...two,
    classes: 3,
    probabilities: Float32Array.from(spread(20, 0.6, 0.9).flatMap((p) => [p, 1 - p, 0])),
  };
  const [a, b] = [two, three].map((set) => answers({ forget: set, retain: set, test: set }));
  const { figures } = compareAnswers(a!, b!, undefined, { seed: 0 });
  expect(figures.testAccuracy).toMatchObject({ before: 1, after: 1 });
  expect(figures.testKl).toMatchObject({
    after: null,
    reason: "the models have different numbers of classes",
  });
});

test("log-probabilities come from logits exactly, where the probability itself rounds to 0", () => {
  const set = scored(Int32Array.of(0), Float32Array.of(0, 400), "logits");
  expect(columnsOf(set).loss![0]).toBeCloseTo(400, 6);
  // One unit z: −log p_0 = log(1 + e^z).
  const single = scored(Int32Array.of(0), Float32Array.of(3), "logits");
  expect(columnsOf(single).loss![0]).toBeCloseTo(Math.log(1 + Math.exp(3)), 10);
});

test("JS divergence of disjoint certainties is log 2", () => {
  const [a, b] = [withConfidence([1]), withConfidence([0])].map(scoredFromProbabilities);
  const divergence = classification.classes.jensenShannon(a!.outputs, b!.outputs);
  expect(mean(divergence!)).toBeCloseTo(Math.log(2), 10);
});

test("bootstrap intervals of a share are the normal ones, paired for a difference, and repeat with the seed", () => {
  const n = 4000;
  const share = Float64Array.from({ length: n }, (_, i) => Number(i % 10 < 3));
  const shifted = share.map((v) => v + 0.25);
  const [interval, , change] = bootstrapMeans([share, shifted, shifted.map((v, i) => v - share[i]!)], 5);
  // Standard error √(p (1 − p) / n) = 0.00725, 95 %: ± 0.0142; 1,000 replicates know it to about 5 %.
  const half = 1.96 * Math.sqrt((0.3 * 0.7) / n);
  expect(Math.abs(interval![0] - (0.3 - half))).toBeLessThan(0.15 * half);
  expect(Math.abs(interval![1] - (0.3 + half))).toBeLessThan(0.15 * half);
  expect(change![0]).toBeCloseTo(0.25, 10);
  expect(change![1]).toBeCloseTo(0.25, 10);
  expect(bootstrapMeans([share], 5)).toEqual([interval]);
  expect(bootstrapMeans([share], 6)).not.toEqual([interval]);
  expect(bootstrapMeans([Float64Array.of(Number.NaN, 1)], 5)).toEqual([undefined]);
});

test("ROC: ties count half, and no threshold splits them", () => {
  const roc = rocCurve(Float64Array.of(1, 1, 0), Float64Array.of(1, 0));
  // Pairs won: 1 beats 0 twice, 1 ties 1 twice, 0 ties 0 once: (2 + 3 / 2) / 6.
  expect(areaUnder(roc)).toBeCloseTo(3.5 / 6, 12);
  expect([...roc.falsePositive]).toEqual([0, 0.5, 1]);
  expect(truePositiveAt(roc, 0.4)).toBe(0);
  expect(truePositiveAt(roc, 0.5)).toBeCloseTo(2 / 3, 12);
  const certain = areaInterval(Float64Array.of(2, 3), Float64Array.of(0, 1));
  expect(certain).toEqual([1, 1]);
});

test("LiRA online and offline, U-LiRA and RMIA score as SciPy does", () => {
  const table = JSON.parse(readFileSync(join(fixtures, "shadow.json"), "utf8")) as {
    target: number[];
    confidence: number[][];
    member: number[][];
    population: number[];
    online: number[];
    offline: number[];
    rmia: number[];
  };
  const target = Float64Array.from(table.target);
  const shadows = (unlearned: boolean): Shadow[] =>
    table.confidence.map((confidence, s) => ({
      confidence: Float64Array.from(confidence),
      member: Uint8Array.from(table.member[s]!),
      unlearned,
    }));
  const equal = (ours: Float64Array | undefined, theirs: number[]) =>
    theirs.forEach((wanted, i) => {
      expect(Math.abs(ours![i]! - wanted)).toBeLessThanOrEqual(1e-9 * Math.max(1, Math.abs(wanted)));
    });
  equal(liraScores(target, shadows(false), { unlearned: false }), table.online);
  // The same arithmetic, with models that were made to forget as "in".
  equal(liraScores(target, shadows(true), { unlearned: true }), table.online);
  expect(liraScores(target, shadows(false), { unlearned: true })).toBeUndefined();
  equal(liraScores(target, shadows(true), { unlearned: false }), table.offline);
  equal(rmiaScores(target, shadows(false), table.population), table.rmia);
  const allIn = shadows(false).map((s) => ({ ...s, member: s.member.map(() => 1) }));
  expect(rmiaScores(target, allIn, table.population)).toBeUndefined();
});
