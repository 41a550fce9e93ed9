import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { beforeAll, describe, expect, test } from "vitest";
import { ledgerPath } from "../../../src/report/write.ts";
import { documents, inputDocuments, schemaText } from "../../../src/schemas/documents.ts";
import { FORGET, MODEL, RETAIN, RETRAINED, run, SCALING, TEST, temporary } from "./cli.ts";

const schemas = join(import.meta.dirname, "../../../docs/schemas");
const published = (name: string) => readFileSync(join(schemas, `${name}.schema.json`), "utf8");

const all = Object.keys({ ...documents, ...inputDocuments });
test.each(all)("the published schema of %s is the one in the code", (name) => {
  expect(published(name), "run `npm run schemas`").toBe(schemaText(name));
});

test("no schema is published for a document that does not exist", () => {
  expect(readdirSync(schemas).sort()).toEqual(all.map((name) => `${name}.schema.json`).sort());
});

const ajv = new Ajv2020();
function expectValid(name: string, document: unknown): void {
  const valid = ajv.validate(JSON.parse(published(name)), document);
  expect(valid, `${name}: ${ajv.errorsText()}`).toBe(true);
}

const SETS = ["--forget", FORGET, "--retain", RETAIN, ...SCALING, "--threads", "1"];
const TRAINING = ["--epochs", "2", "--lr", "0.003", "--batch-size", "64"];

/** Runs a command with --json: exactly one document on stdout, nothing on stderr. */
async function document(...argv: string[]) {
  const { code, stdout, stderr } = await run(...argv, "--json");
  expect(code, stdout).toBe(0);
  expect(stderr).toBe("");
  expect(stdout.trim().split("\n")).toHaveLength(1);
  return JSON.parse(stdout);
}

describe("each document keeps to its published schema", () => {
  const folder = temporary();
  const out = join(folder, "out.onnx");
  const report = join(folder, "report.json");
  let unlearned: Awaited<ReturnType<typeof document>>;
  beforeAll(async () => {
    unlearned = await document(
      "unlearn",
      ...SETS,
      ...TRAINING,
      "--model",
      MODEL,
      "--test",
      TEST,
      "--validation",
      TEST,
      "--out",
      out,
      "--report",
      report,
    );
  });

  test("unlearn, on stdout and in the file", () => {
    expectValid("unlearn", unlearned);
    expect(JSON.parse(readFileSync(report, "utf8"))).toEqual(unlearned);
    // 1,200 samples, batches of 64, two epochs.
    expect(unlearned.budget.steps).toBe(2 * Math.ceil(1200 / 64));
    expect(unlearned.ledger).toHaveLength(unlearned.budget.steps);
    expect(unlearned.before.validationAccuracy).toBe(unlearned.before.testAccuracy);
  });

  test("evaluate says of both files what unlearn said", async () => {
    for (const [model, side] of [
      [MODEL, "before"],
      [out, "after"],
    ] as const) {
      const evaluated = await document(
        "evaluate",
        ...SETS,
        "--model",
        model,
        "--test",
        TEST,
        "--reference",
        RETRAINED,
      );
      expectValid("evaluate", evaluated);
      const { validationAccuracy: _, ...figures } = unlearned[side];
      expect(evaluated.metrics).toMatchObject(figures);
      expect(evaluated.model).toEqual(unlearned.model[side]);
      const { metrics, gap } = evaluated.reference;
      const four = ["forgetAccuracy", "retainAccuracy", "testAccuracy", "miaEfficacy"];
      for (const metric of four)
        expect(gap[metric]).toBeCloseTo(Math.abs(evaluated.metrics[metric] - metrics[metric]), 12);
      expect(gap.average).toBeCloseTo(four.reduce((sum, metric) => sum + gap[metric], 0) / 4, 12);
    }
  });

  test("diff says what unlearn said, and which tensors changed", async () => {
    const compared = await document("diff", MODEL, out, ...SETS, "--test", TEST, "--reference", RETRAINED);
    expectValid("diff", compared);
    const { validationAccuracy: _, ...after } = unlearned.after;
    expect(compared.after).toMatchObject(after);
    expect(compared.change.forgetAccuracy).toBeCloseTo(
      unlearned.after.forgetAccuracy - unlearned.before.forgetAccuracy,
      12,
    );
    expect(compared.structure.identical).toBe(true);
    expect(compared.structure.changedTensors.map(({ name }: { name: string }) => name)).toEqual(
      unlearned.export.changedTensors,
    );
  });

  test("verify, bare and with report and samples", async () => {
    const bare = await document("verify", out, "--before", MODEL);
    expectValid("verify", bare);
    expect(bare.parity).toBeNull();
    const held = await document(
      "verify",
      out,
      "--before",
      MODEL,
      "--report",
      report,
      "--samples",
      TEST,
      ...SCALING,
    );
    expectValid("verify", held);
    expect(held.parity.samples).toBe(32);
    expect(held.parity.maxAbsDiff).toBeLessThan(1e-3);
  });

  test("without --test the two figures that need it are null, with the reason", async () => {
    const evaluated = await document("evaluate", ...SETS, "--model", MODEL);
    expectValid("evaluate", evaluated);
    expect(evaluated.metrics).toMatchObject({
      testAccuracy: null,
      miaEfficacy: null,
      reason: expect.stringContaining("no test set"),
    });
  });

  test("inspect", async () => {
    expectValid("inspect", await document("inspect", MODEL));
  });

  test("an error", async () => {
    const { stdout } = await run("inspect", join(folder, "absent.onnx"), "--json");
    expectValid("error", JSON.parse(stdout));
  });
});

test("a long ledger gets a file of its own", async () => {
  const folder = temporary();
  const report = join(folder, "report.json");
  // 1,200 samples in batches of 4, two epochs: 600 steps.
  const flags = ["--epochs", "2", "--batch-size", "4", "--model", MODEL, "--out", join(folder, "o.onnx")];
  const whole = await document("unlearn", ...SETS, ...flags, "--report", report);
  const written = JSON.parse(readFileSync(report, "utf8"));
  expectValid("unlearn", written);
  expect(written.ledger).toEqual({ file: "report.ledger.json", steps: 600 });
  expect(existsSync(ledgerPath(report))).toBe(true);
  expect(JSON.parse(readFileSync(ledgerPath(report), "utf8"))).toEqual(whole.ledger);
});

test("demo", async () => {
  const shown = await document("demo");
  expectValid("demo", shown);
  const { before, after, reference } = shown.diff;
  expect(after.forgetAccuracy).toBeLessThan(before.forgetAccuracy);
  expect(reference.gap.after.average).toBeLessThan(reference.gap.before.average);
});
