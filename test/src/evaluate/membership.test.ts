import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  drawSubset,
  type MembershipFeature,
  membershipEfficacy,
  membershipFeature,
  membershipFeatures,
  type ScoredSet,
} from "../../../src/evaluate/membership.ts";
import { decisionValues, trainSvm } from "../../../src/evaluate/svm.ts";
import { fixtures, readTable } from "./tables.ts";

/** Recorded from scikit-learn by fixtures/make_membership.py. */
const recorded = JSON.parse(readFileSync(join(fixtures, "membership.json"), "utf8")) as {
  tables: Record<string, Record<MembershipFeature, { efficacy: number; firstDecisions: number[] }>>;
};

test.each(
  Object.keys(recorded.tables).flatMap((table) =>
    membershipFeatures.map((feature) => [table, feature] as const),
  ),
)("%s, %s: the efficacy is scikit-learn's to 1e-3", async (table, feature) => {
  const sets = await readTable(table);
  expect(
    Math.abs(membershipEfficacy(sets, feature, 0) - recorded.tables[table]![feature].efficacy),
  ).toBeLessThanOrEqual(1e-3);
});

test.each(membershipFeatures)(
  "%s: decision values are scikit-learn's within the solver's tolerance",
  async (feature) => {
    const { retain, test: outside, forget } = await readTable("saturated");
    const [a, b, t] = [outside, retain, forget].map((set) => membershipFeature(set, feature));
    const width = a!.width;
    const x = Float64Array.from([...a!.values, ...b!.values]);
    const y = Int8Array.from([...Array(300).fill(1), ...Array(300).fill(-1)]);
    const scores = decisionValues(trainSvm(x, y, { features: width, c: 3, gamma: 1 / width }), t!.values);
    recorded.tables.saturated![feature].firstDecisions.forEach((wanted, i) => {
      expect(Math.abs(scores[i]! - wanted)).toBeLessThanOrEqual(5e-3);
    });
  },
);

test("two points: the closed form α = min(C, 1 / (1 − K)), ρ = 0", () => {
  // Maximise 2α − α² (1 − K): α* = 1 / (1 − K), cut at C. K = exp(−γ d²).
  const k = Math.exp(-0.5 * 4);
  const svm = trainSvm(Float64Array.of(0, 2), Int8Array.of(1, -1), { features: 1, c: 10, gamma: 0.5 });
  expect(svm.coefficients[0]).toBeCloseTo(1 / (1 - k), 6);
  expect(svm.coefficients[1]).toBeCloseTo(-1 / (1 - k), 6);
  expect(svm.rho).toBeCloseTo(0, 6);
  const bounded = trainSvm(Float64Array.of(0, 2), Int8Array.of(1, -1), { features: 1, c: 0.25, gamma: 0.5 });
  expect([...bounded.coefficients]).toEqual([0.25, -0.25]);
});

/** Two overlapping clouds on a line, 90 against 30, some points equal: as exact fractions. */
const clouds = {
  x: Float64Array.from({ length: 120 }, (_, i) =>
    i < 90 ? ((i * 37) % 80) / 64 : 0.5 + ((i * 29) % 100) / 64,
  ),
  y: Int8Array.from({ length: 120 }, (_, i) => (i < 90 ? 1 : -1)),
};

test.each([0.3, 3, 300])(
  "unequal classes, γ = %s: the optimum's conditions (Karush, Kuhn, Tucker) hold for every sample",
  (gamma) => {
    const [{ x, y }, c] = [clouds, 3];
    const svm = trainSvm(x, y, { features: 1, c, gamma, tolerance: 1e-4 });
    expect(svm.coefficients.reduce((a, b) => a + b, 0)).toBeCloseTo(0, 9);
    const values = decisionValues(svm, x);
    for (const [i, value] of values.entries()) {
      const margin = y[i]! * value;
      const times = x.filter((other, k) => other === x[i] && y[k] === y[i]).length;
      const own = svm.coefficients.findIndex((a, m) => svm.vectors[m] === x[i] && Math.sign(a) === y[i]);
      const multiplier = own < 0 ? 0 : Math.abs(svm.coefficients[own]!) / times;
      expect(multiplier).toBeLessThanOrEqual(c);
      if (multiplier < c) expect(margin).toBeGreaterThanOrEqual(1 - 2e-4);
      if (multiplier > 0) expect(margin).toBeLessThanOrEqual(1 + 2e-4);
    }
  },
);

test.each([0.25, 3, 300])("γ = %s: the decision values are the sum over the support vectors", (gamma) => {
  const svm = trainSvm(clouds.x, clouds.y, { features: 1, c: 3, gamma });
  const x = Float64Array.from([
    ...Array.from({ length: 300 }, (_, i) => i / 150),
    // A sparse stretch, and Chebyshev's nodes on [0, 1], where an interpolated value is 0 / 0 if left alone.
    ...Array.from({ length: 20 }, (_, i) => i - 10),
    ...Array.from({ length: 12 }, (_, k) => (1 + Math.cos(((2 * k + 1) * Math.PI) / 24)) / 2),
  ]);
  for (const [i, value] of decisionValues(svm, x).entries()) {
    const kernel = (v: number) => Math.exp(-gamma * (x[i]! - v) ** 2);
    const wanted = svm.coefficients.reduce((sum, a, m) => sum + a * kernel(svm.vectors[m]!), -svm.rho);
    expect(value).toBeCloseTo(wanted, 9);
  }
});

test("modified entropy as Song & Mittal define it, entropy, confidence, correctness, on three rows", () => {
  const set: ScoredSet = {
    probabilities: Float32Array.of(0.5, 0.25, 0.25, 1, 0, 0, 0, 1, 0),
    classes: 3,
    labels: Int32Array.of(1, 0, 2),
  };
  const values = (feature: MembershipFeature) => [...membershipFeature(set, feature).values];
  const huge = -Math.log(1e-30);
  // Row 0, y = 1: 0.75 log 4 + 0.5 log 2 + 0.25 log(4/3). Row 1 is certain and right: 0. Row 2: the true
  // class has 0, another 1.
  const wanted = [0.75 * Math.log(4) + 0.5 * Math.log(2) + 0.25 * Math.log(4 / 3), 0, 2 * huge];
  values("modifiedEntropy").forEach((value, i) => {
    expect(value).toBeCloseTo(wanted[i]!, 10);
  });
  expect(values("entropy")[0]).toBeCloseTo(1.5 * Math.log(2), 10);
  expect(values("confidence")).toEqual([0.25, 1, 0]);
  expect(values("correctness")).toEqual([0, 1, 0]);
});

test("unequal sets: a seeded draw of the smaller size; the same seed draws the same", () => {
  const drawn = drawSubset(1000, 100, 7);
  expect(drawn).toEqual(drawSubset(1000, 100, 7));
  expect(drawn).not.toEqual(drawSubset(1000, 100, 8));
  expect(new Set(drawn).size).toBe(100);
  expect(drawn.every((i) => i >= 0 && i < 1000)).toBe(true);
  expect(drawSubset(5, 9, 0)).toEqual([0, 1, 2, 3, 4]);
});

/** Confident rows on class 0 where `seen`, flat rows elsewhere; all with label 0. */
const rows = (seen: boolean, count: number): ScoredSet => ({
  probabilities: Float32Array.from({ length: 2 * count }, (_, i) => {
    const own = seen ? 0.99 - (i >> 1) * 1e-4 : 0.5 + (i >> 1) * 1e-4;
    return i % 2 === 0 ? own : 1 - own;
  }),
  classes: 2,
  labels: new Int32Array(count),
});

test("nothing forgotten scores 0, everything forgotten 1, on confidence", () => {
  const [retain, outside] = [rows(true, 40), rows(false, 40)];
  const score = (forget: ScoredSet) => membershipEfficacy({ retain, test: outside, forget }, "confidence", 0);
  expect(score(rows(true, 20))).toBe(0);
  expect(score(rows(false, 20))).toBe(1);
});

test("an empty set and sets of different models are refused with a sentence", () => {
  const good = rows(true, 4);
  const empty = { ...good, probabilities: new Float32Array(0), labels: new Int32Array(0) };
  expect(() => membershipEfficacy({ retain: empty, test: good, forget: good }, "confidence", 0)).toThrow(
    /retain set .* is empty/,
  );
  expect(() =>
    membershipEfficacy({ retain: { ...good, classes: 3 }, test: good, forget: good }, "confidence", 0),
  ).toThrow(/3 classes/);
});
