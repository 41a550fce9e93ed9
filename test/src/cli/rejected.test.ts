import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FORGET, MODEL, RETAIN, RETRAINED, run, SCALING, TEST, temporary } from "./cli.ts";

const folder = temporary();
const at = (name: string) => join(folder, name);
const road = [
  ...["unlearn", "--model", MODEL, "--forget", FORGET, "--retain", RETAIN, "--test", TEST, ...SCALING],
  ...["--epochs", "1", "--lr", "0.003", "--threads", "1"],
];

test("a file that fails its gates is not put at --out, and what lies there stays", async () => {
  writeFileSync(at("gates.yaml"), "metrics: { testAccuracy: { min: 1 } }");
  writeFileSync(at("out.onnx"), "the file of before");
  const { code, stdout } = await run(
    ...[
      ...road,
      "--out",
      at("out.onnx"),
      "--force",
      "--gates",
      at("gates.yaml"),
      "--report",
      at("report.json"),
    ],
  );
  expect(code).toBe(1);
  expect(readFileSync(at("out.onnx"), "utf8")).toBe("the file of before");
  expect(stdout).toContain(
    `nothing was written to ${at("out.onnx")}; the new file lies at ${at("out.onnx.rejected")}`,
  );
  // The rejected file is the one the report tells of.
  const verified = await run(
    ...["verify", at("out.onnx.rejected"), "--before", MODEL, "--report", at("report.json")],
  );
  expect(verified.code, verified.stderr).toBe(0);
  expect(JSON.parse(readFileSync(at("report.json"), "utf8")).rejected).toBe(at("out.onnx.rejected"));
});

test("--reference: its gaps are reported and gates on them run; a passing file is put at --out", async () => {
  writeFileSync(at("gap.yaml"), "metrics: { averageGap: { max: 0.5 }, testAccuracy: { maxGap: 20pp } }");
  const { code, stdout } = await run(
    ...[...road, "--out", at("passed.onnx"), "--reference", RETRAINED, "--gates", at("gap.yaml"), "--json"],
  );
  expect(code, stdout).toBe(0);
  const { after, reference, gates } = JSON.parse(stdout);
  const status = Object.fromEntries(
    gates.checks.map((check: { name: string; status: string }) => [check.name, check.status]),
  );
  expect(status).toMatchObject({
    "metrics.averageGap.max": "passed",
    "metrics.testAccuracy.maxGap": "passed",
  });
  expect(reference.gap.after.testAccuracy).toBeCloseTo(
    Math.abs(after.testAccuracy - reference.metrics.testAccuracy),
    12,
  );
  expect([existsSync(at("passed.onnx")), existsSync(at("passed.onnx.rejected"))]).toEqual([true, false]);
});
