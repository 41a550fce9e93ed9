import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import * as ort from "onnxruntime-node";
import { afterAll, describe, expect, test } from "vitest";
import { importModel } from "../../../converters/importer.ts";
import { loadModelFile } from "../../../converters/onnx/read.ts";
import { BudgetError } from "../../../src/case/guard.ts";
import { DEFAULT_OPTIONS } from "../../../src/case/unlearn.ts";
import { join, loadDataset, pick } from "../../../src/data/dataset.ts";
import { encodeNpz } from "../../../src/data/npz.ts";
import type { Dataset } from "../../../src/data/types.ts";
import { unlearn } from "../../../src/release/unlearn.ts";
import { budgetEpsilon, natsOf, pairedInterval, parseBudget, spentOf } from "../../../src/unlearn/budget.ts";
import { isMet, parseStopCondition } from "../../../src/unlearn/conditions.ts";
import { startPacing } from "../../../src/unlearn/pace.ts";
import { train } from "../../../src/unlearn/train.ts";
import { withhold } from "../../../src/unlearn/validation.ts";
import { forgetsEnough, forgetsMore } from "../../../src/unlearn/watch.ts";
import { run } from "../cli/cli.ts";

const digits = joinPath(import.meta.dirname, "../../../models/digits");
const preprocessing = { scale: 16, mean: [0.5], std: [0.5] };
const at = (name: string) => joinPath(digits, name);
const paths = {
  model: at("digits.onnx"),
  forget: at("digits-forget.npz"),
  retain: at("digits-retain.npz"),
  preprocessing,
};
const model = importModel(loadModelFile(paths.model));
const load = (name: string) => loadDataset(at(name), model.inputs, preprocessing);
const folder = mkdtempSync(joinPath(tmpdir(), "onnx-unlearn-budget-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const options = { batchSize: 64, threads: 1, seed: 0 } as const;

test("a budget is points of accuracy or nats, and nothing else", () => {
  expect(parseBudget("0.5pp")).toEqual({ amount: 0.005, unit: "accuracy" });
  expect(parseBudget("0.02nats")).toEqual({ amount: 0.02, unit: "nats" });
  for (const text of ["0.5", "0.5%", "-1pp", "pp", "1.2.3nats", ""])
    expect(() => parseBudget(text), text).toThrow(/cannot be read/);
});

describe("what was spent", () => {
  const before = { right: [1, 1, 1, 0], losses: [0.1, 0.2, 0.3, 2.1] };
  const after = { right: [1, 0, 1, 0], losses: [0.2, 0.9, 0.3, 1.7] };
  test("one sample in four, and the mean loss", () => {
    expect(spentOf({ unit: "accuracy" }, before, after)).toBeCloseTo(0.25, 12);
    expect(spentOf({ unit: "nats" }, before, after)).toBeCloseTo(0.1, 12);
  });
  test("an accuracy budget steers by what a wrong sample costs", () => {
    expect(natsOf({ amount: 0.01, unit: "accuracy" }, before)).toBeCloseTo(0.021, 12);
    // No mistake yet: a coin's toss.
    expect(natsOf({ amount: 0.01, unit: "accuracy" }, { right: [1], losses: [0] })).toBeCloseTo(
      0.01 * Math.LN2,
      12,
    );
  });
  test("the interval is Agresti and Min's: b = 6 newly wrong, c = 2 newly right of n = 50", () => {
    const right = Array.from({ length: 50 }, (_, i) => Number(i < 30));
    const now = right.map((r, i) => (i < 6 || (i >= 30 && i < 32) ? 1 - r : r));
    const losses = right.map(() => 0);
    const interval = pairedInterval({ unit: "accuracy" }, { right, losses }, { right: now, losses });
    const [n, b, c] = [52, 6.5, 2.5];
    const half = (1.96 * Math.sqrt(b + c - (b - c) ** 2 / n)) / n;
    expect(interval.lower).toBeCloseTo((b - c) / n - half, 12);
    expect(interval.upper).toBeCloseTo((b - c) / n + half, 12);
  });
});

test("steps that do what ε_t says end exactly at the budget", () => {
  let loss = 0.4;
  for (let t = 0; t < 20; t++)
    loss = Math.exp(Math.log(loss + 1e-8) + budgetEpsilon(0.45, loss, 20 - t)) - 1e-8;
  expect(loss).toBeCloseTo(0.45, 6);
  // Overspent: the rest of the run must win it back.
  expect(budgetEpsilon(0.45, 0.5, 10)).toBeLessThan(0);
});

test("stop conditions: figures, numbers, the start model", () => {
  const met = (text: string) =>
    isMet(
      parseStopCondition(text, ["a"]),
      { forgetAccuracy: 0.9, "a.accuracy": 0.1 },
      { forgetAccuracy: 0.5, validationAccuracy: 0.6, "a.accuracy": 0.2 },
    );
  expect(met("forgetAccuracy<=validationAccuracy")).toBe(true);
  expect(met("forgetAccuracy <= 0.4")).toBe(false);
  expect(met("forgetAccuracy<=before.forgetAccuracy")).toBe(true);
  expect(met("a.accuracy>=before.a.accuracy")).toBe(true);
  for (const text of ["forgetAccuracy", "forgetAccuracy<0.5", "loss<=1", "b.accuracy<=1", "<=1"])
    expect(() => parseStopCondition(text, ["a"]), text).toThrow(/cannot be read/);
});

describe("an export must forget", () => {
  const forgets = (
    before: [number, number],
    after: [number, number],
    amount: number,
    target = 0,
    unit = "accuracy",
  ) =>
    forgetsEnough(
      { accuracy: before[0], loss: before[1] },
      { accuracy: after[0], loss: after[1] },
      { amount, unit: unit as "accuracy" | "nats" },
      target,
    );
  test("by so many points of accuracy, or to its goal; a loss alone is not enough", () => {
    expect(forgets([1, 0], [0.99, 0.1], 0.01)).toBe(true);
    expect(forgets([1, 0], [1, 5], 0.01)).toBe(false);
    expect(forgets([0.995, 0.1], [0.99, 0.2], 0.01, 0.99)).toBe(true);
  });
  test("by its loss where accuracy has nothing to show: at the goal from the start, and for a regression", () => {
    expect(forgets([0, 3], [0, 3.02], 0.01)).toBe(true);
    expect(forgets([0, 3], [0, 3.005], 0.01)).toBe(false);
    expect(forgets([Number.NaN, 0.2], [Number.NaN, 0.203], 0.01)).toBe(true);
    expect(forgets([Number.NaN, 0.2], [Number.NaN, 0.201], 0.01)).toBe(false);
  });
  test("or by the looser rule in nats", () => {
    expect(forgets([1, 0], [1, 0.01], 0.01, 0, "nats")).toBe(true);
    expect(forgets([1, 0], [0.99, 0], 0.01, 0, "nats")).toBe(true);
    expect(forgets([1, 0], [1, 0.009], 0.01, 0, "nats")).toBe(false);
  });
});

describe("which of two states within the budget forgets more", () => {
  const look = (forgetAccuracy: number, forgetLoss: number, validationLoss: number, stop?: string) => ({
    ...{ step: 1, validationAccuracy: 0.9, spent: 0, also: {}, within: true, forgets: true },
    ...{ forgetAccuracy, forgetLoss, validationLoss },
    ...(stop === undefined ? {} : { stop }),
  });
  const validation = { accuracy: 0.9, loss: 0.3, right: new Float64Array(0), losses: new Float64Array(0) };
  const aim = (goal: "gone" | "unseen") =>
    ({
      goal,
      target: goal === "gone" ? 0 : 0.9,
      start: { validation },
      lossAllowed: 0.31,
      wrongCosts: 2,
    }) as const;
  const first = (goal: "gone" | "unseen", ...looks: ReturnType<typeof look>[]) =>
    looks.sort((a, b) => forgetsMore(a, b, aim(goal)))[0];
  test("gone: the lower accuracy, then the higher loss; all gone, the higher utility", () => {
    expect(first("gone", look(0.5, 1, 0.3), look(0.4, 1, 0.31))!.forgetAccuracy).toBe(0.4);
    expect(first("gone", look(0.5, 1, 0.3), look(0.5, 2, 0.31))!.forgetLoss).toBe(2);
    expect(first("gone", look(0, 9, 0.3), look(0, 5, 0.2))!.validationLoss).toBe(0.2);
  });
  test("unseen: the nearer to data the model never saw", () => {
    expect(first("unseen", look(0.95, 0.2, 0.3), look(0.8, 0.4, 0.3))!.forgetAccuracy).toBe(0.95);
    expect(first("unseen", look(0.9, 0.29, 0.3), look(0.9, 2, 0.3))!.forgetLoss).toBe(0.29);
  });
  test("a loss beyond the budget weighs five times what it stands for", () => {
    // 0.04 nats beyond at 2 nats a sample: two points, so ten of forgetting.
    expect(first("gone", look(0.5, 1, 0.3), look(0.41, 1, 0.35))!.forgetAccuracy).toBe(0.5);
    expect(first("gone", look(0.5, 1, 0.3), look(0.39, 1, 0.35))!.forgetAccuracy).toBe(0.39);
  });
  test("the state that ended the run goes first", () => {
    expect(first("gone", look(0.1, 5, 0.3), look(0.5, 1, 0.3, "forgetAccuracy<=0.6"))!.forgetAccuracy).toBe(
      0.5,
    );
  });
});

test("the pace: faster with room, slower and more careful where the budget is broken, back after three", () => {
  const pace = startPacing(true);
  pace.within(true, false);
  expect(pace.rate()).toBeGreaterThan(1);
  expect(pace.caution()).toBeLessThan(1);
  const [rate, caution] = [pace.rate(), pace.caution()];
  expect([pace.broke(), pace.broke(), pace.broke()]).toEqual([false, false, true]);
  expect(pace.rate()).toBeCloseTo(rate / 8, 12);
  expect(pace.caution()).toBeCloseTo(caution * 8, 12);
  pace.cameBack();
  expect(pace.caution()).toBeLessThan(caution * 8);
  // A given rate is the largest.
  const given = startPacing(false);
  given.within(true, false);
  expect(given.rate()).toBe(1);
});

test("several sets as one: every sample keeps its label, in the given order", async () => {
  const retain = await load("digits-retain.npz");
  const [a, b] = [pick(retain, [0, 1], "a"), pick(retain, [2, 3, 4], "b")];
  const both = join([a, b]);
  const same = pick(retain, [0, 1, 2, 3, 4], "a");
  expect(both).toEqual(same);
});

describe("withheld validation data", async () => {
  const retain = await load("digits-retain.npz");
  test("a seeded tenth; both parts together are the set", () => {
    const { withheld, train: rest } = withhold(retain, 0.1, 0);
    expect([withheld.count, rest.count]).toEqual([105, 945]);
    const rows = (set: Dataset) =>
      Array.from({ length: set.count }, (_, i) =>
        set.inputs["input"]!.data.subarray(i * 64, i * 64 + 64).join(),
      );
    expect([...rows(withheld), ...rows(rest)].sort()).toEqual(rows(retain).sort());
    expect(withhold(retain, 0.1, 0).withheld.truth.data).toEqual(withheld.truth.data);
    expect(rows(withhold(retain, 0.1, 1).withheld)).not.toEqual(rows(withheld));
  });

  test("is never trained on: other pixels there leave every weight as it was", async () => {
    const forget = await load("digits-forget.npz");
    const { withheld, train: rest } = withhold(retain, 0.1, 0);
    const ruined: Dataset = {
      ...withheld,
      inputs: {
        input: { ...withheld.inputs["input"]!, data: withheld.inputs["input"]!.data.map((v) => -v) },
      },
    };
    const weights = async (validation: Dataset) =>
      (
        await train({
          model,
          forget,
          retain: rest,
          options: { ...DEFAULT_OPTIONS, ...options, epochs: 1 },
          watch: {
            validation,
            minForgetting: { amount: 0, unit: "accuracy" },
            goal: "gone",
            also: {},
            limits: [],
            stopWhen: [parseStopCondition("forgetAccuracy<=-1", [])],
          },
        })
      ).weights;
    expect(await weights(ruined)).toEqual(await weights(withheld));
  });
});

/** Accuracy of a file by ONNX Runtime alone. */
async function accuracyOf(file: string, set: Dataset): Promise<number> {
  const session = await ort.InferenceSession.create(file);
  const input = new ort.Tensor("float32", set.inputs["input"]!.data as Float32Array, [set.count, 1, 8, 8]);
  const logits = (await session.run({ input }))["logits"]!.data as Float32Array;
  await session.release();
  const right = set.truth.data.filter((label, i) => {
    const row = logits.subarray(i * 10, i * 10 + 10);
    return row.indexOf(Math.max(...row)) === label;
  });
  return right.length / set.count;
}

describe("--budget", () => {
  test("half a point, nothing else tuned: the file keeps to it on data it was not trained on, and forgets", async () => {
    const out = joinPath(folder, "budget.onnx");
    const document = await unlearn({ ...paths, out, budget: "0.5pp", options });
    const { withheld } = withhold(await load("digits-retain.npz"), 0.1, 0);
    const lost = (await accuracyOf(paths.model, withheld)) - (await accuracyOf(out, withheld));
    expect(lost).toBeLessThanOrEqual(0.005);
    const guard = document.budget.guard!;
    expect(guard.spent).toBeCloseTo(lost, 9);
    expect(guard.interval.lower).toBeLessThanOrEqual(lost);
    expect(guard.interval.upper).toBeGreaterThanOrEqual(lost);
    expect(document.before.forgetAccuracy! - document.after.forgetAccuracy!).toBeGreaterThan(0.5);
    // The ledger's validation rises are those of the looks.
    const rises = document.ledger.flatMap(({ validationRise }) =>
      validationRise === null ? [] : [validationRise],
    );
    expect(rises).toEqual(document.checks.map(({ spent }) => spent));
  });

  test("the same seed, the same bytes", async () => {
    const [a, b] = [joinPath(folder, "a.onnx"), joinPath(folder, "b.onnx")];
    for (const out of [a, b])
      await unlearn({ ...paths, out, budget: "1pp", options: { ...options, epochs: 2 } });
    expect(readFileSync(a).equals(readFileSync(b))).toBe(true);
  });

  test("an absurd learning rate breaks nothing: a file within the budget or none", async () => {
    const out = joinPath(folder, "absurd.onnx");
    const result = await unlearn({
      ...paths,
      out,
      budget: "0.5pp",
      options: { ...options, lr: 1000, epochs: 3 },
    }).catch((error: unknown) => error);
    if (result instanceof BudgetError) expect(existsSync(out)).toBe(false);
    else {
      const { withheld } = withhold(await load("digits-retain.npz"), 0.1, 0);
      expect(
        (await accuracyOf(paths.model, withheld)) - (await accuracyOf(out, withheld)),
      ).toBeLessThanOrEqual(0.005);
    }
  });

  test("nothing found: exit 1, no model, the closest miss in the report", async () => {
    const [out, report] = [joinPath(folder, "none.onnx"), joinPath(folder, "none.json")];
    const { code, stdout, stderr } = await run(
      "unlearn",
      ...["--model", paths.model, "--forget", paths.forget, "--retain", paths.retain],
      ...["--scale", "16", "--mean", "0.5", "--std", "0.5", "--threads", "1", "--batch-size", "64"],
      ...["--budget", "0.5pp", "--method", "finetune", "--lr", "1e-7", "--epochs", "1"],
      ...["--out", out, "--report", report, "--json"],
    );
    expect(code).toBe(1);
    expect(stderr).toContain("no model was written");
    expect(JSON.parse(stdout).error.code).toBe("BUDGET");
    expect(existsSync(out)).toBe(false);
    const { error } = JSON.parse(readFileSync(report, "utf8"));
    expect(error.exitCode).toBe(1);
    expect(error.closest).toMatchObject({ within: true, forgets: false, forgetAccuracy: 1 });
  });

  test("a stop condition ends the run early", async () => {
    const out = joinPath(folder, "stopped.onnx");
    const { budget, after } = await unlearn({
      ...paths,
      out,
      budget: "2pp",
      stopWhen: ["forgetAccuracy<=0.6"],
      options: { ...options, lr: 0.001 },
    });
    expect(budget.guard!.stoppedBy).toBe("forgetAccuracy<=0.6");
    expect(after.forgetAccuracy).toBeLessThanOrEqual(0.6);
    expect(budget.steps).toBeLessThan(Math.ceil((150 + 945) / 64) * 10);
  });

  test.each<[string, readonly string[], string]>([
    ["a budget that cannot be read", ["--budget", "much"], "BUDGET_FORM"],
    ["a limit without its set", ["--budget", "1pp", "--limit", "a=+1pp"], "LIMIT_UNKNOWN"],
    [
      "what was forgotten earlier, among the retained",
      ["--budget", "1pp", "--also", `a=${paths.retain}`, "--limit", "a=+1pp"],
      "OVERLAP",
    ],
    [
      "a least forgetting in an unknown unit",
      ["--budget", "1pp", "--min-forgetting", "1%"],
      "MIN_FORGETTING",
    ],
    [
      "a limit without a sign",
      ["--budget", "1pp", "--also", `a=${paths.forget}`, "--limit", "a=1pp"],
      "LIMIT_FORM",
    ],
    ["a condition that cannot be read", ["--stop-when", "loss<=1"], "STOP_WHEN"],
    ["a condition on a test set that was not given", ["--stop-when", "testAccuracy<=1"], "STOP_NEEDS_TEST"],
    ["more than all to forget", ["--budget", "1pp", "--min-forgetting", "101"], "MIN_FORGETTING"],
    ["unseen data without any", ["--budget", "1pp", "--goal", "unseen"], "GOAL_NEEDS_VALIDATION"],
  ])("%s is refused with exit 2", async (_, flags, code) => {
    const out = joinPath(folder, "refused.onnx");
    const { stdout, code: exit } = await run(
      "unlearn",
      ...["--model", paths.model, "--forget", paths.forget, "--retain", paths.retain, "--out", out, "--json"],
      ...flags,
    );
    expect(exit).toBe(2);
    expect(JSON.parse(stdout).error.code).toBe(code);
    expect(existsSync(out)).toBe(false);
  });
});

describe("a later request does not bring back what was forgotten", async () => {
  const [bad, retain] = [await load("digits-forget.npz"), await load("digits-retain.npz")];
  const where = (keep: (label: number) => boolean, path: string) =>
    pick(
      retain,
      Array.from(retain.truth.data.keys()).filter((i) => keep(retain.truth.data[i]!)),
      path,
    );
  const sets = { bad, nines: where((label) => label === 9, "nines") };
  const rest = where((label) => label !== 9, "rest");
  const file = (name: string, set: Dataset): string => {
    const path = joinPath(folder, `${name}.npz`);
    // Undo x' = (x / 16 − 0.5) / 0.5: the files hold pixels.
    const values = set.inputs.input!.data.map((v) => Math.round((v * 0.5 + 0.5) * 16));
    writeFileSync(
      path,
      encodeNpz({
        x: { dtype: "uint8", dims: [set.count, 1, 8, 8], values },
        y: { dtype: "int64", dims: [set.count], values: set.truth.data },
      }),
    );
    return path;
  };

  test.each([
    ["nines", "bad"],
    ["bad", "nines"],
  ] as const)("%s, then %s with --also", async (one, other) => {
    const files = { bad: paths.forget, nines: file("nines", sets.nines), rest: file("rest", rest) };
    const first = joinPath(folder, `without-${one}.onnx`);
    const second = joinPath(folder, `without-${one}-and-${other}.onnx`);
    // Of the 95 validation samples one is more than a point.
    const given = { ...paths, retain: files.rest, budget: "2pp", options };
    await unlearn({ ...given, forget: files[one], out: first });
    const before = { one: await accuracyOf(first, sets[one]), other: await accuracyOf(first, sets[other]) };
    expect(before.one).toBeLessThan(0.1);
    expect(before.other).toBeGreaterThan(0.5);
    const document = await unlearn({
      ...given,
      model: first,
      forget: files[other],
      out: second,
      also: { [one]: files[one] },
      limits: { [one]: "+1pp" },
    });
    const after = await accuracyOf(second, sets[one]);
    expect(after).toBeLessThanOrEqual(before.one + 0.01);
    expect(document.budget.guard!.also[one]!.after).toBeCloseTo(after, 9);
    expect(await accuracyOf(second, sets[other])).toBeLessThanOrEqual(before.other - 0.5);
    expect(await accuracyOf(second, rest)).toBeGreaterThan(0.97);
  });
});
