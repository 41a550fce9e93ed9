import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, expect, test } from "vitest";
import { main } from "../../../src/cli/main.ts";
import { paretoFront } from "../../../src/sweep/sweep.ts";
import { FORGET, MODEL, RETAIN, RETRAINED, run, SCALING, TEST, temporary } from "./cli.ts";

test("the front: what no other point dominates", () => {
  const points = [
    { forget: 1, utility: 0.95 }, // dominated by the next one
    { forget: 0.8, utility: 0.95 },
    { forget: 0.5, utility: 0.9 },
    { forget: 0.5, utility: 0.9 }, // an equal stands beside it
    { forget: 0.6, utility: 0.85 }, // dominated
    { forget: 0, utility: 0.2 },
    { forget: 0.9, utility: 0.97 },
  ];
  expect(paretoFront(points)).toEqual([6, 1, 2, 3, 5]);
  expect(paretoFront([])).toEqual([]);
});

const folder = temporary();
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const started: string[][] = [];

/** The command line with runs in this process, counted. */
async function sweep(...argv: string[]) {
  let stdout = "";
  let stderr = "";
  const code = await main(
    [
      "sweep",
      "--model",
      MODEL,
      "--forget",
      FORGET,
      "--retain",
      RETAIN,
      ...SCALING,
      "--folder",
      folder,
      ...argv,
    ],
    {
      out: (text) => {
        stdout += text;
      },
      err: (text) => {
        stderr += text;
      },
      runCommand: (command) => {
        started.push([...command]);
        return run(...command);
      },
    },
  );
  return { code, stdout, stderr };
}

const POINTS = [
  "--methods",
  "eupmu,random-label",
  "--epsilons",
  "-0.05,0",
  "--test",
  TEST,
  "--reference",
  RETRAINED,
];
const SHORT = ["--", "--epochs", "1", "--lr", "0.003", "--batch-size", "64"];

test("every combination once, a table, JSON by its schema, a picture; run again, nothing is run", async () => {
  const { code, stdout } = await sweep(...POINTS, "--json", ...SHORT);
  expect(code, stdout).toBe(0);
  const document = JSON.parse(stdout);
  const schema = readFileSync(join(import.meta.dirname, "../../../docs/schemas/sweep.schema.json"), "utf8");
  const ajv = new Ajv2020();
  expect(ajv.validate(JSON.parse(schema), document), ajv.errorsText()).toBe(true);
  expect(started).toHaveLength(4);
  expect(started.every((argv) => argv.includes("--epochs"))).toBe(true);
  const names = document.runs.map(({ name }: { name: string }) => name);
  expect(names).toEqual([
    "eupmu_epsilon-0.05_seed0",
    "eupmu_epsilon0_seed0",
    "random-label_epsilon-0.05_seed0",
    "random-label_epsilon0_seed0",
  ]);
  // ε_t means nothing to random labels: the same run twice, side by side on the front or both off it.
  expect(document.runs[2].after).toEqual(document.runs[3].after);
  expect(document.runs[2].onFront).toBe(document.runs[3].onFront);
  expect(document.front.length).toBeGreaterThan(0);
  expect(document.runs.every(({ model }: { model: string }) => existsSync(model))).toBe(true);
  expect(document.runs[0].averageGap).toBeGreaterThan(0);
  const picture = readFileSync(join(folder, "front.svg"), "utf8");
  expect(picture).toMatch(/^<svg/);
  for (const word of ["eupmu", "random-label", "Pareto front", "as shipped"]) expect(picture).toContain(word);

  const again = await sweep(...POINTS, ...SHORT);
  expect(again.code).toBe(0);
  expect(started).toHaveLength(4);
  expect(again.stdout).toContain("●");
  // One more value: only that is run. Other options: everything is.
  await sweep("--methods", "eupmu", "--epsilons", "-0.05,-0.01", "--test", TEST, ...SHORT);
  expect(started).toHaveLength(5);
  await sweep(
    "--methods",
    "eupmu",
    "--epsilons",
    "-0.05",
    "--test",
    TEST,
    "--force",
    "--",
    "--epochs",
    "2",
    "--lr",
    "0.003",
  );
  expect(started).toHaveLength(6);
});

test("a run that fails is an entry of its own, not the end of the sweep", async () => {
  const { code, stdout } = await sweep(
    "--methods",
    "finetune",
    "--budgets",
    "1pp",
    "--json",
    "--",
    "--lr",
    "1e-7",
    "--epochs",
    "1",
  );
  expect(code).toBe(0);
  const [failed] = JSON.parse(stdout).runs;
  expect(failed).toMatchObject({ exitCode: 1, after: null, model: null, onFront: false });
  expect(failed.error).toContain("no model was written");
});

test.each<[string, string[]]>([
  ["an unknown method", ["--methods", "eupmu,magic"]],
  ["an epsilon that is no number", ["--epsilons", "0,small"]],
  ["both knobs", ["--epsilons", "0", "--budgets", "1pp"]],
])("%s is wrong use", async (_, argv) => {
  expect((await sweep(...argv)).code).toBe(2);
});

test("gates: each exported model has its verdict; other gates run again; no passing run is exit 1", async () => {
  const gates = join(folder, "gates.yaml");
  const one = ["--epsilons", "-0.01", "--test", TEST, "--gates", gates, "--force", "--json", ...SHORT];
  writeFileSync(gates, "metrics: { testAccuracy: { min: 0.5 } }");
  const before = started.length;
  const passing = await sweep(...one);
  expect(passing.code, passing.stdout).toBe(0);
  expect(JSON.parse(passing.stdout).runs.map((each: { gates: string }) => each.gates)).toEqual(["passed"]);
  writeFileSync(gates, "metrics: { testAccuracy: { min: 1 } }");
  const failing = await sweep(...one);
  expect(failing.code).toBe(1);
  expect(JSON.parse(failing.stdout).runs[0]).toMatchObject({ gates: "failed", exitCode: 1 });
  expect(started.length).toBe(before + 2);
  writeFileSync(gates, "metric: {}");
  const refused = await sweep(...one);
  expect(refused.code).toBe(2);
  expect(refused.stdout).toContain('did you mean \\"metrics\\"');
  expect(started.length).toBe(before + 2);
});
