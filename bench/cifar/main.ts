// npm run cifar -- MODELS DATA [--until HH:MM] [--threads N] [--methods a,b] [--scenario random|class]
// The reproduction on CIFAR-10 and a ResNet-20: MODELS holds cifar-resnet20.onnx and
// cifar-resnet20-retrain.onnx, DATA the sets cifar10-*.npz. For each method a search over five settings (one
// epoch, one seed, without looking at the retrained model), then three seeds of three epochs. Each run writes
// a file in bench/results/cifar; runs with a file are skipped. The tables bench/results/cifar.md (final runs)
// and cifar-search.md are made from these files alone.

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { elementCount } from "../../converters/dims.ts";
import { OnnxUnlearnError } from "../../converters/errors.ts";
import { exportModel } from "../../converters/export/write.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import { importModel } from "../../converters/importer.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import { checkParity } from "../../src/case/parity.ts";
import { DEFAULT_OPTIONS } from "../../src/case/unlearn.ts";
import { loadDataset, type Preprocessing } from "../../src/data/dataset.ts";
import { encodeNpz, readNpz } from "../../src/data/npz.ts";
import { openSources, readSets } from "../../src/data/sets.ts";
import { answersOf, type Evaluation, evaluationOf, gapTo } from "../../src/evaluate/evaluation.ts";
import { predict } from "../../src/evaluate/predict.ts";
import { packageRoot } from "../../src/package.ts";
import { mean } from "../../src/tasks/numbers.ts";
import { train } from "../../src/unlearn/train.ts";
import { compared, type Experiment, finals, searches } from "./plan.ts";
import { type Diverged, hasEnded, type Result, score, tables } from "./table.ts";

const RESULTS = join(packageRoot(), "bench/results/cifar");
/** The class that class-wise forgetting removes: cats. */
const CLASS = 3;
const preprocessing: Preprocessing = {
  scale: 255,
  mean: [0.4914, 0.4822, 0.4465],
  std: [0.247, 0.2435, 0.2616],
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    until: { type: "string" },
    threads: { type: "string", default: "1" },
    methods: { type: "string", default: compared.join(",") },
    scenario: { type: "string", default: "random" },
  },
});
const [models, data] = positionals;
if (!models || !data) throw new Error("give the folders of the models and of the data");
const threads = Number(values.threads);
const model = join(models, "cifar-resnet20.onnx");
const retrained = join(models, "cifar-resnet20-retrain.onnx");
mkdirSync(RESULTS, { recursive: true });
const scratch = mkdtempSync(join(tmpdir(), "onnx-unlearn-cifar-"));

/** Time of day after which no further run starts. */
const late = (): boolean => {
  if (!values.until) return false;
  return new Date().toTimeString().slice(0, 5) >= values.until;
};

const set = (name: string) => join(data, `cifar10-${name}.npz`);

/**
 * Data files of a scenario: for "random" those in DATA; for "class" all training images of class 3 against
 * all others, and a test set without the class, which is tested separately.
 */
async function filesOf(
  scenario: Experiment["scenario"],
): Promise<
  Readonly<Record<"forget" | "retain" | "test", string>> & { readonly also: Readonly<Record<string, string>> }
> {
  if (scenario === "random")
    return { forget: set("forget"), retain: set("retain"), test: set("test"), also: {} };
  const parts = async (paths: readonly string[], keep: (label: number) => boolean, name: string) => {
    const [x, y]: [number[][], number[]] = [[], []];
    let dims: readonly number[] = [];
    for (const path of paths) {
      const arrays = await readNpz(path);
      const [images, labels] = [arrays.get("x")!, arrays.get("y")!];
      dims = images.dims.slice(1);
      const width = elementCount(dims);
      labels.data.forEach((label, i) => {
        if (!keep(label)) return;
        x.push(Array.from(images.data.subarray(i * width, (i + 1) * width)));
        y.push(label);
      });
    }
    const path = join(scratch, `${name}.npz`);
    writeFileSync(
      path,
      encodeNpz({
        x: { dtype: "uint8", dims: [y.length, ...dims], values: x.flat() },
        y: { dtype: "int64", dims: [y.length], values: y },
      }),
    );
    return path;
  };
  const training = [set("forget"), set("retain")];
  return {
    forget: await parts(training, (label) => label === CLASS, "forget"),
    retain: await parts(training, (label) => label !== CLASS, "retain"),
    test: await parts([set("test")], (label) => label !== CLASS, "test"),
    also: { "test-of-class": await parts([set("test")], (label) => label === CLASS, "test-of-class") },
  };
}

const scenario = values.scenario as Experiment["scenario"];
const paths = await filesOf(scenario);

/** Accuracy of a file on the test images of the class. */
async function accuracyOnClass(path: string): Promise<number> {
  const file = importModel(loadModelFile(path));
  const set = await loadDataset(paths.also["test-of-class"]!, file.inputs, preprocessing);
  const outputs = await predict(file, set, { threads });
  return mean(set.task.measure(outputs, set.truth).accuracy!);
}

/** A retrained model exists for the random scenario only. */
async function referenceOf(): Promise<Evaluation | null> {
  if (scenario === "class") return null;
  const path = join(RESULTS, "random_reference.json");
  if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8")) as Evaluation;
  const file = importModel(loadModelFile(retrained));
  const load = (name: string) => loadDataset(name, file.inputs, preprocessing);
  const sets = {
    forget: await load(paths.forget),
    retain: await load(paths.retain),
    test: await load(paths.test),
    validation: undefined,
  };
  const evaluation = evaluationOf(await answersOf(file, sets, { threads }));
  writeFileSync(path, `${JSON.stringify(evaluation, null, 2)}\n`);
  return evaluation;
}

/** CPU seconds that `work` takes. */
async function timed<T>(work: () => Promise<T>): Promise<{ value: T; seconds: number }> {
  const started = process.cpuUsage();
  const value = await work();
  const { user, system } = process.cpuUsage(started);
  return { value, seconds: (user + system) / 1e6 };
}

const source = loadModelFile(model);
const imported = importModel(source);
const sets = await readSets(await openSources(paths), imported.inputs, { preprocessing });
const measured = async (file: TrainableModel, seed = 0): Promise<Evaluation> =>
  evaluationOf(await answersOf(file, sets, { threads }), { seed });
/** The original file is the same in every run: it is measured once, and the time counted in each run. */
let shipped: Promise<{ value: Evaluation; seconds: number }> | undefined;

/**
 * The steps of `unlearn` with these options and no progress display, except that the original file is
 * measured once for all runs.
 */
async function run(
  experiment: Experiment,
  reference: Evaluation | null,
): Promise<Result | Diverged | undefined> {
  const path = join(RESULTS, `${experiment.name}.json`);
  if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8")) as Result | Diverged;
  if (late()) return undefined;
  console.error(`${new Date().toTimeString().slice(0, 8)} ${experiment.name}`);
  const out = join(scratch, "out.onnx");
  rmSync(out, { force: true });
  const { method, seed } = experiment;
  const options = { ...DEFAULT_OPTIONS, ...experiment.options, method, seed, threads };
  shipped ??= timed(() => measured(imported));
  const before = await shipped;
  try {
    const { value: made, seconds } = await timed(async () => {
      const trained = await train({ model: imported, ...sets, options });
      await exportModel(source, trained.weights, out, {});
      const written = importModel(loadModelFile(out));
      const parity = await checkParity(written, {}, sets.forget, threads);
      return { trained, parity, after: await measured(written, seed) };
    });
    const { trained, parity, after } = made;
    const result: Result = {
      ...experiment,
      before: before.value,
      after,
      averageGap: reference ? gapTo(after, reference).average : null,
      ...(scenario === "class"
        ? { classTestAccuracy: { before: await accuracyOnClass(model), after: await accuracyOnClass(out) } }
        : {}),
      cpuSeconds: before.seconds + seconds,
      samplesPerSecond: trained.samplesPerSecond,
      parity: parity.maxAbsDiff,
      threads,
    };
    writeFileSync(path, `${JSON.stringify(result, null, 2)}\n`);
    console.error(JSON.stringify(after));
    return result;
  } catch (error) {
    if (!(error instanceof OnnxUnlearnError) || error.code !== "DIVERGED") throw error;
    const failed: Diverged = { ...experiment, diverged: error.message };
    writeFileSync(path, `${JSON.stringify(failed, null, 2)}\n`);
    console.error(error.message);
    return failed;
  }
}

try {
  const reference = await referenceOf();
  for (const method of values.methods.split(",") as Experiment["method"][]) {
    const tried: (Result | Diverged)[] = [];
    for (const experiment of searches(scenario, method)) {
      const result = await run(experiment, reference);
      if (result) tried.push(result);
    }
    // A setting is chosen only after all were tried, so that every method gets the same effort.
    if (tried.length < searches(scenario, method).length) continue;
    const ended = tried.filter(hasEnded);
    const forgot = ended.filter(({ before, after }) => after.forgetAccuracy! < before.forgetAccuracy!);
    const best = (forgot.length > 0 ? forgot : ended).reduce((a, b) => (score(b) < score(a) ? b : a));
    for (const experiment of finals(best)) await run(experiment, reference);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
const results = readdirSync(RESULTS)
  .filter((name) => /_(search|final)_/.test(name))
  .map((name) => JSON.parse(readFileSync(join(RESULTS, name), "utf8")) as Result | Diverged);
const referencePath = join(RESULTS, "random_reference.json");
const known = existsSync(referencePath)
  ? (JSON.parse(readFileSync(referencePath, "utf8")) as Evaluation)
  : null;
for (const [phase, name] of [
  ["search", "cifar-search.md"],
  ["final", "cifar.md"],
] as const) {
  const text = tables(results, known, phase);
  writeFileSync(join(packageRoot(), "bench/results", name), text);
  console.log(text);
}
