import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Golden, type Judged, judge } from "../../../src/gates/judge.ts";
import { readGates } from "../../../src/gates/read.ts";
import { gatesSchema } from "../../../src/gates/schema.ts";
import { temporary } from "../cli/cli.ts";

const judged: Judged = {
  figures: {
    testAccuracy: { before: 0.9, after: 0.89, reference: 0.88 },
    testLoss: { before: 0.4, after: 0.5 },
    testAgreement: { before: null, after: 0.97 },
    miaAuc: { before: null, after: null, reason: "no test set" },
    nonFiniteOutputs: { before: 0, after: 0 },
  },
  perClass: {
    test: [
      { label: 0, count: 100, before: 0.9, after: 0.9 },
      { label: 1, count: 3, before: 1, after: 0 },
    ],
  },
  also: { holdout: { accuracy: { before: 0.8, after: 0.7 } } },
  structure: { identical: true, differences: [], changedTensors: [{ name: "fc.weight" }] },
  weights: {
    tensors: [{ name: "fc.weight", elements: 4, changedElements: 4, norm: 1, changeNorm: 0.1, nonFinite: 0 }],
    relative: 0.1,
  },
  latency: { before: 1, after: 1.2, ratio: 1.2, rounds: 30, batch: 1 },
  golden: { maxAbsDiff: 0.05, samples: 8, against: "BEFORE" },
};

const verdict = (gates: unknown, changes: Partial<Judged> = {}) =>
  judge({ ...judged, ...changes }, gatesSchema.parse(gates));
const broken: Partial<Judged> = {
  structure: { identical: false, differences: ["node 3 differs"], changedTensors: [] },
};

describe("every kind of gate has a side on which it passes and one on which it fails", () => {
  test.each<[string, unknown, unknown, Partial<Judged>?]>([
    ["min", { metrics: { testAccuracy: { min: 0.89 } } }, { metrics: { testAccuracy: { min: 0.891 } } }],
    ["max", { metrics: { testLoss: { max: 0.5 } } }, { metrics: { testLoss: { max: 0.49 } } }],
    // 0.9 − 0.89 in floating point is a little more than 0.01.
    [
      "maxDrop, points",
      { metrics: { testAccuracy: { maxDrop: "1pp" } } },
      { metrics: { testAccuracy: { maxDrop: "0.9pp" } } },
    ],
    // 0.01 of 0.9 is 1.1 %.
    [
      "maxDrop, share",
      { metrics: { testAccuracy: { maxDrop: "1.2%" } } },
      { metrics: { testAccuracy: { maxDrop: "1.1%" } } },
    ],
    [
      "maxDrop, number",
      { metrics: { testAccuracy: { maxDrop: 0.02 } } },
      { metrics: { testAccuracy: { maxDrop: 0 } } },
    ],
    ["maxRise", { metrics: { testLoss: { maxRise: "25%" } } }, { metrics: { testLoss: { maxRise: "24%" } } }],
    [
      "maxGap",
      { metrics: { testAccuracy: { maxGap: "1pp" } } },
      { metrics: { testAccuracy: { maxGap: "0.5pp" } } },
    ],
    [
      "perClass.maxDrop",
      { perClass: { test: { maxDrop: "5pp", minSamples: 10 } } },
      { perClass: { test: { maxDrop: "5pp" } } },
    ],
    [
      "perClass.min",
      { perClass: { test: { min: 0.9, minSamples: 10 } } },
      { perClass: { test: { min: 0.9 } } },
    ],
    [
      "also",
      { also: { holdout: { accuracy: { maxDrop: "10pp" } } } },
      { also: { holdout: { accuracy: { maxDrop: "9pp" } } } },
    ],
    [
      "structure.onlyTensors",
      { structure: { onlyTensors: ["fc.*"] } },
      { structure: { onlyTensors: ["conv.*"] } },
    ],
    [
      "structure.golden",
      { structure: { golden: { samples: "g.npz", tolerance: 0.05 } } },
      { structure: { golden: { samples: "g.npz", tolerance: 0.04 } } },
    ],
    ["latency", { latency: { maxRatio: 1.2 } }, { latency: { maxRatio: 1.1 } }],
  ])("%s", (_, passing, failing) => {
    expect(verdict(passing).verdict).toBe("passed");
    const report = verdict(failing);
    expect(report.verdict).toBe("failed");
    expect(report.checks.filter(({ status }) => status === "failed")).toHaveLength(1);
  });

  test("structure.identical", () => {
    const gates = { structure: { identical: true } };
    expect(verdict(gates).verdict).toBe("passed");
    expect(verdict(gates, broken).checks.at(-1)).toMatchObject({
      name: "structure.identical",
      status: "failed",
      sentence: "node 3 differs",
    });
  });

  test("outputs and weights that are no numbers fail an empty gates file", () => {
    expect(verdict({}).verdict).toBe("passed");
    const outputs = { ...judged.figures, nonFiniteOutputs: { before: 0, after: 2 } };
    expect(verdict({}, { figures: outputs }).verdict).toBe("failed");
    const weights = { tensors: [{ ...judged.weights.tensors[0]!, nonFinite: 1 }], relative: null };
    expect(verdict({}, { weights }).verdict).toBe("failed");
    const golden: Golden = { maxAbsDiff: null, samples: 8, against: "BEFORE" };
    expect(verdict({ structure: { golden: { samples: "g.npz", tolerance: 1e9 } } }, { golden }).verdict).toBe(
      "failed",
    );
  });
});

test("a warning is shown, and the verdict stands", () => {
  const { verdict: outcome, checks } = verdict({ metrics: { testAccuracy: { min: 0.99, level: "warn" } } });
  expect(outcome).toBe("passed");
  expect(checks.at(-1)).toMatchObject({ status: "warned", name: "metrics.testAccuracy.min" });
});

test("what could not be measured is skipped with its reason, and fails unless that is allowed", () => {
  const gates = { metrics: { miaAuc: { max: 0.55 } } };
  const report = verdict(gates);
  expect(report.verdict).toBe("failed");
  expect(report.checks.at(-1)).toMatchObject({ status: "skipped", value: null });
  expect(report.checks.at(-1)!.sentence).toContain("no test set");
  expect(verdict({ ...gates, allowSkipped: true }).verdict).toBe("passed");
  expect(verdict({ ...gates, allowSkipped: true }).checks.at(-1)!.status).toBe("skipped");
  expect(verdict({ metrics: { miaAuc: { max: 0.55, allowSkipped: true } } }).verdict).toBe("passed");
  expect(verdict({ metrics: { miaAuc: { max: 0.55, level: "warn" } } }).verdict).toBe("passed");
  for (const [skipping, why] of [
    [{ metrics: { testLoss: { maxGap: 1 } } }, "--reference"],
    [{ metrics: { testAgreement: { maxDrop: 1 } } }, "no value before"],
    [{ metrics: { liraAuc: { max: 0.6 } } }, "not measured"],
    [{ also: { other: { accuracy: { min: 0 } } } }, "--also"],
    [{ perClass: { forget: { min: 0 } } }, "forget set"],
    [{ perClass: { test: { min: 0, minSamples: 1000 } } }, "1000 samples"],
  ] as const) {
    const last = verdict(skipping).checks.at(-1)!;
    expect(last.status).toBe("skipped");
    expect(last.sentence).toContain(why);
  }
  const unrun = verdict({ structure: { golden: { samples: "g.npz", tolerance: 1 } } }, { golden: null });
  expect(unrun.checks.at(-1)!.status).toBe("skipped");
});

test.each([
  [
    "metrics: { testAcuracy: { min: 1 } }",
    'does not know "metrics.testAcuracy"; did you mean "testAccuracy"?',
  ],
  ["metrics: { testAccuracy: { maxdrop: 1 } }", 'did you mean "maxDrop"?'],
  ["metrik: {}", 'did you mean "metrics"?'],
  ["structure: { golden: { sample: a.npz, tolerance: 1 } }", 'at "structure.golden.samples"'],
  ["metrics: { testAccuracy: { maxDrop: 5px } }", 'points like "0.5pp"'],
  ["metrics: { testAccuracy: { level: maybe } }", 'at "metrics.testAccuracy.level"'],
  ["latency: { maxRatio: 1 }\nlatency: { maxRatio: 2 }", "line 2"],
  ["metrics: { testAccuracy: [ }", "line 1"],
])("%s is refused with a sentence", (text, sentence) => {
  const path = join(temporary(), "gates.yaml");
  writeFileSync(path, text);
  expect(() => readGates(path)).toThrow(sentence);
  expect(() => readGates(path)).toThrow(path);
});

test("a gates file that is not there is named; golden samples are looked for beside it", () => {
  expect(() => readGates("absent.yaml")).toThrow(/absent.yaml cannot be read \(ENOENT\)/);
  const folder = temporary();
  const path = join(folder, "gates.yaml");
  writeFileSync(path, "structure: { golden: { samples: data/golden.npz, tolerance: 0.1 } }");
  expect(readGates(path).golden).toBe(join(folder, "data/golden.npz"));
});
