// npm run strangers -- ZOO DATA [--only TEXT] [--resume] [--threads N]
// Models published by others, with their data sets: each forgets a tenth of the training data passed in, all
// under the same setting, and is measured on its own test data, half of which serves as validation data. ZOO
// holds index.json and the models, DATA the data sets.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { OnnxUnlearnError } from "../../converters/errors.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import type { NpyArray } from "../../src/data/npy.ts";
import { encodeNpz, readNpz } from "../../src/data/npz.ts";
import { type UnlearnRequest, unlearn } from "../../src/release/unlearn.ts";
import { verify } from "../../src/release/verify.ts";

const OUTPUT = "bench/results/strangers.md";
/** Rows of finished files, so that an interrupted run can resume; not committed. */
const STATE = "build/strangers-rows.json";
/** Entries are used if the index reports an accuracy above chance, which is 0.1 with ten classes. */
const ABOVE_CHANCE = 0.2;

/** The one setting for all models: a budget, which needs no knowledge of the model. */
const GUARD = { budget: "0.5pp", minForgetting: 0.2, goal: "gone" } as const;
const OPTIONS: UnlearnRequest["options"] = { epochs: 3, batchSize: 128, seed: 0 };

interface Entry {
  readonly file: string;
  readonly accuracy?: number;
  readonly preprocessing?: string;
}

/** The preprocessing names of the index, as x' = (x / scale − mean) / std. */
const SCALINGS: Readonly<Record<string, NonNullable<UnlearnRequest["preprocessing"]>>> = {
  raw: { scale: 1, mean: [0], std: [1] },
  "255": { scale: 255, mean: [0], std: [1] },
  "0.5": { scale: 255, mean: [0.5], std: [0.5] },
  "+-1": { scale: 255, mean: [0.5], std: [0.5] },
  "mnist/norm": { scale: 255, mean: [0.1307], std: [0.3081] },
  "cifar/norm": { scale: 255, mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] },
  norm2: { scale: 255, mean: [0.4914, 0.4822, 0.4465], std: [0.2023, 0.1994, 0.201] },
  norm225: { scale: 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
};

/** Training samples used, and how many of them are forgotten: a tenth. */
const SETS = {
  mnist: { train: "mnist-train.npz", test: "mnist-test.npz", used: 6000 },
  cifar: { train: "cifar10-original-train3000.npz", test: "cifar10-original-test1000.npz", used: 3000 },
} as const;

/** Samples [from, to) of [N, C, H, W] pixels, laid out as the model wants one sample. */
function samples(
  pixels: NpyArray,
  labels: NpyArray,
  from: number,
  to: number,
  wanted: readonly number[],
  transposed: boolean,
) {
  const [, c, h, w] = pixels.dims as [number, number, number, number];
  const size = c * h * w;
  const channelsLast = wanted.length === 3 && wanted[2] === c && wanted[0] === h;
  const values = new Float32Array((to - from) * size);
  for (let n = from; n < to; n++)
    for (let k = 0; k < c; k++)
      for (let i = 0; i < h; i++)
        for (let j = 0; j < w; j++) {
          const at = channelsLast
            ? (i * w + j) * c + k
            : (k * h + (transposed ? j : i)) * w + (transposed ? i : j);
          values[(n - from) * size + at] = pixels.data[n * size + (k * h + i) * w + j]!;
        }
  const y = Array.from(labels.data).slice(from, to);
  return encodeNpz({
    x: { dtype: "uint8", dims: [to - from, ...wanted], values },
    y: { dtype: "int64", dims: [to - from], values: y },
  });
}

interface Row {
  readonly file: string;
  readonly outcome: "done" | "refused" | "failed";
  readonly reason?: string;
  readonly before?: { readonly forget: number; readonly test: number };
  readonly after?: { readonly forget: number; readonly test: number };
  readonly verified?: boolean;
  readonly seconds: number;
}

async function scrub(
  path: string,
  entry: Entry,
  data: string,
  threads: number,
): Promise<Omit<Row, "file" | "seconds">> {
  const [set, how] = entry.preprocessing!.split("/") as [keyof typeof SETS, string];
  const { train, test, used } = SETS[set];
  const transposed = how.endsWith("T");
  const name = how.replace(/T$/, "");
  const preprocessing = SCALINGS[name] ?? SCALINGS[`${set}/${name}`]!;
  const shape = loadModelFile(path)
    .graph.inputs[0]!.dims!.slice(1)
    .map((d) => Number(d));
  const folder = mkdtempSync(join(tmpdir(), "strangers-"));
  const [given, held] = [await readNpz(join(data, train)), await readNpz(join(data, test))];
  const put = (to: string, arrays: Map<string, NpyArray>, from: number, end: number) => {
    const file = join(folder, `${to}.npz`);
    writeFileSync(file, samples(arrays.get("x")!, arrays.get("y")!, from, end, shape, transposed));
    return file;
  };
  const heldOut = held.get("y")!.data.length;
  const [out, report] = [join(folder, "out.onnx"), join(folder, "report.json")];
  try {
    const document = await unlearn({
      model: path,
      forget: put("forget", given, 0, used / 10),
      retain: put("retain", given, used / 10, used),
      // Half of the held-out data select the weights to export, the other half only measure them. Training
      // data would not do for the selection: accuracy on them hardly falls.
      validation: put("validation", held, 0, heldOut / 2),
      test: put("test", held, heldOut / 2, heldOut),
      out,
      allowOverlap: true,
      preprocessing,
      ...GUARD,
      options: { ...OPTIONS, threads },
    });
    writeFileSync(report, JSON.stringify(document));
    const figures = ({ forgetAccuracy, testAccuracy }: typeof document.before) => ({
      forget: forgetAccuracy!,
      test: testAccuracy!,
    });
    const { verified } = await verify({ after: out, before: path, report });
    return { outcome: "done", before: figures(document.before), after: figures(document.after), verified };
  } catch (error) {
    if (!(error instanceof OnnxUnlearnError)) throw error;
    return { outcome: error.exitCode === 3 ? "refused" : "failed", reason: error.message };
  }
}

const percent = (share: number) => (100 * share).toFixed(2);
const keeps = ({ before, after }: Row) =>
  before !== undefined && after !== undefined && after.test >= before.test - 0.01;
const lowers = ({ before, after }: Row) =>
  before !== undefined && after !== undefined && after.forget < before.forget;

function markdown(rows: readonly Row[]): string {
  const done = rows.filter(({ outcome }) => outcome === "done");
  return [
    "# Unlearning on models that other people shipped",
    "",
    `${rows.length} models with data: ${done.length} scrubbed and verified, ${rows.length - done.length} not. ` +
      `Test accuracy kept within 1 point on ${done.filter(keeps).length}, forget accuracy lowered on ${done.filter(lowers).length}. ` +
      "Made by `npm run strangers -- ZOO DATA`.",
    "",
    `Each forgets the first tenth of the training samples used (MNIST ${SETS.mnist.used}, CIFAR-10 ${SETS.cifar.used}) under one and the same setting: \`${JSON.stringify({ ...GUARD, ...OPTIONS })}\`.`,
    "",
    "| file | forget accuracy before → after, % | test accuracy before → after, % | verified | seconds |",
    "| --- | --- | --- | --- | ---: |",
    ...rows.map((row) =>
      row.before && row.after
        ? `| ${row.file} | ${percent(row.before.forget)} → ${percent(row.after.forget)} | ${percent(row.before.test)} → ${percent(row.after.test)} | ${row.verified ? "yes" : "no"} | ${row.seconds.toFixed(0)} |`
        : `| ${row.file} | ${row.outcome}: ${row.reason?.replaceAll("|", "¦")} | | | ${row.seconds.toFixed(0)} |`,
    ),
    "",
  ].join("\n");
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: "string" },
    resume: { type: "boolean" },
    threads: { type: "string", default: "1" },
  },
});
const [zoo, data] = positionals;
if (!zoo || !data) {
  console.error("Give the folder of the models (with index.json) and the folder of the data.");
  process.exit(2);
}
const index: readonly Entry[] = JSON.parse(readFileSync(join(zoo, "index.json"), "utf8"));
const entries = index.filter(
  ({ accuracy, preprocessing, file }) =>
    accuracy !== undefined &&
    accuracy !== null &&
    accuracy > ABOVE_CHANCE &&
    preprocessing &&
    file.includes(values.only ?? ""),
);
const rows: Row[] = values.resume && existsSync(STATE) ? JSON.parse(readFileSync(STATE, "utf8")) : [];
for (const entry of entries) {
  if (rows.some(({ file }) => file === entry.file)) continue;
  const started = performance.now();
  const result = await scrub(join(zoo, entry.file), entry, data, Number(values.threads));
  const row: Row = { file: entry.file, ...result, seconds: (performance.now() - started) / 1000 };
  rows.push(row);
  mkdirSync("build", { recursive: true });
  writeFileSync(STATE, JSON.stringify(rows));
  console.log(JSON.stringify(row));
}
mkdirSync("bench/results", { recursive: true });
writeFileSync(OUTPUT, markdown(rows));
console.log(`written to ${OUTPUT}`);
