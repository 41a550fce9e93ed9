import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { diff } from "../../src/case/diff.ts";
import { encodeNpz, type NpzInput } from "../../src/data/npz.ts";
import { multiLabel } from "../../src/tasks/multi-label.ts";
import { truthOf } from "../../src/tasks/truth.ts";
import { run, temporary } from "./cli/cli.ts";

// What scikit-learn says of the same files, see make_vectors.py.
const fixtures = join(import.meta.dirname, "../fixtures/vectors");
const recorded = JSON.parse(readFileSync(join(fixtures, "figures.json"), "utf8"));
const PARTS = ["forget", "retain", "test", "validation"] as const;
const setsOf = (name: string) =>
  Object.fromEntries(
    PARTS.map((part) => [part, join(fixtures, `${name.split("-")[0]}-${part}.npz`)]),
  ) as Record<(typeof PARTS)[number], string>;
const flagsOf = (name: string) => Object.entries(setsOf(name)).flatMap(([part, path]) => [`--${part}`, path]);
const modelOf = (name: string) => join(fixtures, `${name}.onnx`);
const common = ["--threads", "1", "--batch-size", "32"];

test.each([
  ["regression", "mse"],
  ["labels", "binary-cross-entropy"],
] as const)("figures of %s are scikit-learn's", async (name, loss) => {
  const model = modelOf(name);
  const document = await diff({ ...setsOf(name), before: model, after: model, loss, threads: 1 });
  for (const part of ["forget", "retain", "test"] as const)
    for (const [metric, value] of Object.entries(recorded[name][part]))
      expect(document.figures[`${part}${metric}` as "forgetLoss"]?.after, `${part}${metric}`).toBeCloseTo(
        value as number,
        4,
      );
  expect(document.figures.testCalibrationError?.reason).toMatch(/defined for classes only/);
  expect(document.leak.after.sentence).toMatch(/defined for classes only/);
  expect(document.perClass).toEqual({});
});

test("bits behind a sigmoid are as sure as a float32 can tell: ±25 log 2 at its ends", () => {
  const raw = Float32Array.of(0.5, 0.25, 0, 1);
  const truth = truthOf(Float32Array.of(1, 1, 1, 0), [2]);
  const { loss, accuracy, subset } = multiLabel.measure({ count: 2, raw, kind: "sigmoid" }, truth);
  expect(loss![0]).toBeCloseTo((Math.LN2 + 2 * Math.LN2) / 2, 6);
  expect(loss![1]).toBeCloseTo(25 * Math.LN2, 6);
  expect([...accuracy!, ...subset!]).toEqual([0, 0, 0, 0]);
});

test("a regression goes the whole road under a budget in squared error", async () => {
  const folder = temporary();
  const [out, gates] = [join(folder, "out.onnx"), join(folder, "gates.yaml")];
  writeFileSync(
    gates,
    "metrics:\n  testSquaredError: { maxRise: 20% }\n  testAccuracy: { min: 0.5 }\nallowSkipped: true\n",
  );
  const { code, stdout } = await run(
    ...["unlearn", "--model", modelOf("regression"), "--loss", "mse", ...flagsOf("regression"), ...common],
    ...["--budget", "0.1mse", "--out", out, "--gates", gates, "--json"],
  );
  expect(code, stdout).toBe(0);
  const { before, after, budget, gates: judged } = JSON.parse(stdout);
  expect(before.losses.forget).toBeCloseTo(recorded.regression.forget.SquaredError, 5);
  expect(after.losses.forget).toBeGreaterThan(before.losses.forget + 0.01 * before.losses.validation);
  expect(after.losses.validation - before.losses.validation).toBeCloseTo(budget.guard.spent, 6);
  expect(budget.guard).toMatchObject({ within: true, forgets: true, total: { unit: "squared error" } });
  expect([after.forgetAccuracy, after.miaEfficacy]).toEqual([null, null]);
  const status = Object.fromEntries(
    judged.checks.map((check: { name: string; status: string }) => [check.name, check.status]),
  );
  expect(status).toMatchObject({
    "metrics.testSquaredError.maxRise": "passed",
    "metrics.testAccuracy.min": "skipped",
  });
  const table = await run(
    ...["evaluate", "--model", out, "--loss", "mse", ...flagsOf("regression"), "--threads", "1"],
  );
  expect(table.stdout).toContain("forget loss (squared error)");
  expect(table.stdout).not.toContain("forget accuracy");
});

test("several labels per sample go the whole road under a budget in points", async () => {
  const out = join(temporary(), "out.onnx");
  const { code, stdout } = await run(
    ...["unlearn", "--model", modelOf("labels"), "--loss", "binary-cross-entropy", ...flagsOf("labels")],
    ...[...common, "--budget", "3pp", "--out", out, "--json"],
  );
  expect(code, stdout).toBe(0);
  const { before, after, budget } = JSON.parse(stdout);
  expect(before.forgetAccuracy).toBe(1);
  expect(after.forgetAccuracy).toBeLessThan(1);
  expect(after.losses.unit).toBe("nats");
  expect(budget.guard).toMatchObject({ within: true, forgets: true, total: { unit: "accuracy" } });
});

const put = (arrays: Record<string, NpzInput>): string => {
  const path = join(temporary(), "set.npz");
  writeFileSync(path, encodeNpz(arrays));
  return path;
};
const six: NpzInput = { dtype: "float32", dims: [2, 6], values: new Array<number>(12).fill(0.5) };
const y = (dims: number[], values: number[], dtype: NpzInput["dtype"] = "float32"): NpzInput => ({
  dtype,
  dims,
  values,
});

test.each([
  ["LABELS_SHAPE", [], y([2, 2], [0, 1, 1, 0], "int64"), "say --loss binary-cross-entropy"],
  ["LABELS_MISSING", [], y([2], [0.5, 1.5]), "--loss mse"],
  ["TARGET_RANGE", ["--loss", "binary-cross-entropy"], y([2, 2], [0, 1, 2, 0]), "sample 1 has the target 2"],
  ["TARGETS_SHAPE", ["--loss", "mse"], y([2, 3], [0, 1, 2, 0, 1, 2]), "3 targets per sample"],
] as const)("%s: what y holds is told from the loss", async (code, flags, truth, says) => {
  const set = put({ x: six, y: truth });
  const result = await run(
    ...["evaluate", "--model", modelOf("regression"), "--forget", set, "--retain", set, ...flags, "--json"],
  );
  const { error } = JSON.parse(result.stdout);
  expect(result.code).toBe(2);
  expect(error.code).toBe(code);
  expect(error.message).toContain(says);
});

test("one number per sample may stand in y as [N]", async () => {
  const set = put({ x: six, y: y([2], [1, 0], "int64") });
  const flags = ["--forget", set, "--retain", set, "--loss", "mse", "--json"];
  const { error } = JSON.parse((await run("evaluate", "--model", modelOf("regression"), ...flags)).stdout);
  expect(error.message).toContain("1 targets per sample, but the model has 2 outputs");
});

test.each([
  ["BUDGET_UNIT", "regression", "mse", ["--budget", "1pp"]],
  ["BUDGET_UNIT", "labels", "binary-cross-entropy", ["--budget", "0.1mse"]],
  ["NO_ACCURACY", "regression", "mse", ["--stop-when", "forgetAccuracy<=0.5"]],
  // Training would look behind the sigmoid.
  ["HEAD_LOSS", "labels-sigmoid", "mse", []],
] as const)("%s: %s with %s and %s", async (code, name, loss, flags) => {
  const out = join(temporary(), "out.onnx");
  const { stdout } = await run(
    ...["unlearn", "--model", modelOf(name), "--out", out, "--loss", loss, ...flagsOf(name), ...common],
    ...[...flags, "--json"],
  );
  expect(JSON.parse(stdout).error).toMatchObject({ code, exitCode: 2 });
});
