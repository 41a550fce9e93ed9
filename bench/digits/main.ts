// npm run digits [-- --table]
// Every method on the digits classifier of this package, under one budget and with default settings, three
// seeds each, compared with the model retrained without the bad batch. The retrained model is only measured,
// never used for choices. Each run adds a line to bench/results/digits.jsonl; runs with a line are skipped.
// --table only rewrites the table.
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { evaluate } from "../../src/case/evaluate.ts";
import { BudgetError } from "../../src/case/guard.ts";
import { type Evaluation, gapTo } from "../../src/evaluate/evaluation.ts";
import { packageRoot } from "../../src/package.ts";
import { unlearn } from "../../src/release/unlearn.ts";
import { METHODS, type Method } from "../../src/unlearn/types.ts";

const BUDGET = "0.5pp";
const SEEDS = [0, 1, 2];
const STATE = join(packageRoot(), "bench/results/digits.jsonl");
const TABLE = join(packageRoot(), "bench/results/digits.md");

interface Run {
  readonly method: Method;
  readonly seed: number;
  /** Null if no state of the run both kept within the budget and forgot enough. */
  readonly after: Evaluation | null;
  readonly lr: number | null;
  readonly seconds: number;
}

const digits = join(packageRoot(), "models/digits");
const paths = {
  forget: join(digits, "digits-forget.npz"),
  retain: join(digits, "digits-retain.npz"),
  test: join(digits, "digits-test.npz"),
  preprocessing: { scale: 16, mean: [0.5], std: [0.5] },
};
const model = join(digits, "digits.onnx");
const measured = async (file: string) => (await evaluate({ ...paths, model: file, threads: 1 })).metrics;
const [before, reference] = [await measured(model), await measured(join(digits, "digits-retrained.onnx"))];

async function attempt(method: Method, seed: number): Promise<Run> {
  const started = performance.now();
  const folder = mkdtempSync(join(tmpdir(), "onnx-unlearn-digits-"));
  try {
    const options = { method, seed, batchSize: 64, threads: 1 };
    const document = await unlearn({
      ...paths,
      model,
      out: join(folder, "out.onnx"),
      budget: BUDGET,
      options,
    });
    return { method, seed, after: document.after, lr: document.options.lr, seconds: document.timing.seconds };
  } catch (error) {
    if (!(error instanceof BudgetError)) throw error;
    return { method, seed, after: null, lr: null, seconds: (performance.now() - started) / 1000 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
const percent = (values: readonly number[]) => (100 * mean(values)).toFixed(2);
const figures = (of: readonly Evaluation[]) => [
  percent(of.map(({ forgetAccuracy }) => 1 - forgetAccuracy!)),
  percent(of.map(({ retainAccuracy }) => retainAccuracy!)),
  percent(of.map(({ testAccuracy }) => testAccuracy!)),
  percent(of.map(({ miaEfficacy }) => miaEfficacy!)),
  percent(of.map((evaluation) => gapTo(evaluation, reference).average!)),
];

function tableOf(runs: readonly Run[]): string {
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const run = METHODS.filter((method) => runs.some((one) => one.method === method));
  const missing = METHODS.filter((method) => !run.includes(method));
  const rows = run
    .map((method) => {
      const of = runs.filter((run) => run.method === method);
      const exported = of.flatMap(({ after }) => (after ? [after] : []));
      const cells = exported.length > 0 ? figures(exported) : ["–", "–", "–", "–", "–"];
      return { gap: Number(cells[4]), text: row([method, `${exported.length} of ${of.length}`, ...cells]) };
    })
    .sort((a, b) => (Number.isNaN(a.gap) ? 1 : Number.isNaN(b.gap) ? -1 : a.gap - b.gap));
  return `${[
    row(["", "exported", "UA", "RA", "TA", "MIA", "average gap"]),
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    row(["as shipped", "", ...figures([before])]),
    row(["**retrained**", "", ...figures([reference])]),
    ...rows.map(({ text }) => text),
    ...(missing.length > 0 ? ["", `Not run yet: ${missing.join(", ")}.`] : []),
  ].join("\n")}\n`;
}

const runs: Run[] = existsSync(STATE)
  ? readFileSync(STATE, "utf8")
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Run)
  : [];
const { values } = parseArgs({ options: { table: { type: "boolean", default: false } } });
for (const method of values.table ? [] : METHODS)
  for (const seed of SEEDS) {
    if (runs.some((run) => run.method === method && run.seed === seed)) continue;
    const run = await attempt(method, seed);
    runs.push(run);
    appendFileSync(STATE, `${JSON.stringify(run)}\n`);
  }
writeFileSync(TABLE, tableOf(runs));
console.log(tableOf(runs));
