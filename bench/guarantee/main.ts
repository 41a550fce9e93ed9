// npm run guarantee [-- --runs N]
// Tests the budget as a guarantee: random short runs on the digits classifier, most with settings that nobody
// should use. Every exported file is measured again here, by ONNX Runtime alone, on validation data it was
// not trained on. A stopped script resumes; it loses one run at most.
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { importModel } from "../../converters/importer.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import { BudgetError } from "../../src/case/guard.ts";
import { loadDataset } from "../../src/data/dataset.ts";
import type { Dataset } from "../../src/data/types.ts";
import { packageRoot } from "../../src/package.ts";
import { unlearn } from "../../src/release/unlearn.ts";
import * as ort from "../../src/runtime.ts";
import { METHODS, type Method } from "../../src/unlearn/types.ts";
import { withhold } from "../../src/unlearn/validation.ts";

const STATE = join(packageRoot(), "bench/results/guarantee.jsonl");
const TABLE = join(packageRoot(), "bench/results/guarantee.md");
/**
 * Of each ten runs, three use recommended settings: method, seed and budget are random, all else is default.
 */
const SANE = (index: number) => index % 10 < 3;

interface Run {
  readonly index: number;
  readonly sane: boolean;
  readonly method: Method;
  readonly seed: number;
  /** Percentage points of accuracy. */
  readonly budget: number;
  readonly lr: number | "auto";
  readonly epochs: number;
  readonly exported: boolean;
  /** Percentage points of accuracy lost on validation data, measured here; null if nothing was exported. */
  readonly lost: number | null;
  readonly forgetAccuracy: number | null;
}

const digits = join(packageRoot(), "models/digits");
const preprocessing = { scale: 16, mean: [0.5], std: [0.5] };
const paths = {
  model: join(digits, "digits.onnx"),
  forget: join(digits, "digits-forget.npz"),
  retain: join(digits, "digits-retain.npz"),
  preprocessing,
};
const { inputs } = importModel(loadModelFile(paths.model));
const [forget, retain] = [
  await loadDataset(paths.forget, inputs, preprocessing),
  await loadDataset(paths.retain, inputs, preprocessing),
];

async function rightOf(file: string, set: Dataset): Promise<number> {
  const session = await ort.InferenceSession.create(file);
  try {
    const { data, dims } = set.inputs["input"]!;
    const { logits } = await session.run({ input: new ort.Tensor("float32", data as Float32Array, dims) });
    const values = logits!.data as Float32Array;
    return set.truth.data.filter((label, i) => {
      const row = values.subarray(i * 10, i * 10 + 10);
      return row.indexOf(Math.max(...row)) === label;
    }).length;
  } finally {
    await session.release();
  }
}

async function attempt(index: number): Promise<Run> {
  const rng = xoroshiro128plus(1000 + index);
  const draw = (from: number, to: number) => uniformInt(rng, from, to);
  const sane = SANE(index);
  const method = METHODS[draw(0, METHODS.length - 1)]!;
  const seed = draw(0, 1_000_000);
  // Budget 0.1 to 3 points; learning rate 1e-5 to 1e3.
  const budget = draw(1, 30) / 10;
  const lr: Run["lr"] = sane ? "auto" : Number((10 ** (draw(-500, 300) / 100)).toPrecision(3));
  const epochs = sane ? 10 : draw(1, 3);
  const given = { index, sane, method, seed, budget, lr, epochs };
  const folder = mkdtempSync(join(tmpdir(), "onnx-unlearn-guarantee-"));
  const out = join(folder, "out.onnx");
  try {
    await unlearn({
      ...paths,
      out,
      budget: `${budget}pp`,
      options: { method, seed, lr, epochs, batchSize: 64, threads: 1 },
    });
    const { withheld } = withhold(retain, 0.1, seed);
    const lost = (await rightOf(paths.model, withheld)) - (await rightOf(out, withheld));
    const remembered = (await rightOf(out, forget)) / forget.count;
    return { ...given, exported: true, lost: (100 * lost) / withheld.count, forgetAccuracy: remembered };
  } catch (error) {
    if (!(error instanceof BudgetError)) throw error;
    if (existsSync(out)) throw new Error(`run ${index} found nothing and yet wrote a file`);
    return { ...given, exported: false, lost: null, forgetAccuracy: null };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function tableOf(runs: readonly Run[]): string {
  const rows = [true, false].map((sane) => {
    const of = runs.filter((run) => run.sane === sane);
    const exported = of.filter((run) => run.exported);
    const over = exported.filter(({ lost, budget }) => lost! > budget + 1e-9);
    const mean = exported.reduce((sum, { forgetAccuracy }) => sum + forgetAccuracy!, 0) / exported.length;
    return `| ${sane ? "left to the budget" : "at random, learning rates from 1e-5 to 1000"} | ${of.length} | ${exported.length} | ${over.length} | ${(100 * mean).toFixed(1)} % |`;
  });
  return [
    "| settings | runs | exported | over their budget | mean accuracy on the forget set, of 100 % |",
    "| --- | ---: | ---: | ---: | ---: |",
    ...rows,
    "",
  ].join("\n");
}

const { values } = parseArgs({ options: { runs: { type: "string", default: "100" } } });
const known: Run[] = existsSync(STATE)
  ? readFileSync(STATE, "utf8")
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Run)
  : [];
for (let index = 0; index < Number(values.runs); index++) {
  if (known.some((run) => run.index === index)) continue;
  const run = await attempt(index);
  known.push(run);
  appendFileSync(STATE, `${JSON.stringify(run)}\n`);
  console.error(JSON.stringify(run));
}
writeFileSync(TABLE, tableOf(known));
console.log(tableOf(known));
