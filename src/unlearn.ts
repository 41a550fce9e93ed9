import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { badInput, OnnxUnlearnError, verificationFailed } from "../converters/errors.ts";
import { exportModel, refuseBadTarget } from "../converters/export/write.ts";
import { importModel } from "../converters/import/graph.ts";
import type { ImportOptions, TrainableModel } from "../converters/import/model.ts";
import { loadModelFile } from "../converters/onnx/read.ts";
import { findOverlap, loadDataset, NO_PREPROCESSING, type Preprocessing } from "./data/dataset.ts";
import { getEngine } from "./engine/index.ts";
import { accuracy, predict, throughHead } from "./evaluate/predict.ts";
import { train } from "./unlearn/train.ts";
import type { Dataset, TrainingProgress, UnlearnOptions } from "./unlearn/types.ts";
import { parityTolerance, sha256, verifyBytes, verifyLoads, verifyStructure } from "./verify/verify.ts";

export const DEFAULT_OPTIONS: UnlearnOptions = {
  method: "eupmu",
  epsilon: -0.01,
  dual: "adam",
  beta: 1,
  epochs: 5,
  lr: 0.001,
  momentum: 0.9,
  weightDecay: 5e-4,
  batchSize: 128,
  seed: 0,
  engine: "onnxruntime",
};

export interface Accuracies {
  readonly forgetAccuracy: number;
  readonly retainAccuracy: number;
  readonly testAccuracy: number | null;
}

export interface UnlearnRequest extends ImportOptions {
  readonly model: string;
  readonly forget: string;
  readonly retain: string;
  readonly test?: string;
  readonly out: string;
  readonly force?: boolean;
  readonly allowOverlap?: boolean;
  readonly preprocessing?: Preprocessing;
  readonly options?: Partial<UnlearnOptions>;
}

/** Accuracies of a model *file*, run in ONNX Runtime. */
export async function evaluateFile(
  file: string,
  model: TrainableModel,
  sets: { readonly forget: Dataset; readonly retain: Dataset; readonly test?: Dataset | undefined },
  threads?: number,
): Promise<Accuracies> {
  const run = async (set: Dataset) => {
    const prediction = await predict(file, set, { ...model, ...(threads === undefined ? {} : { threads }) });
    const { probabilities, classes } = prediction;
    const wrong = probabilities ? set.labels.findIndex((label) => label >= classes) : -1;
    if (wrong >= 0)
      throw badInput(
        "LABEL_RANGE",
        `${set.path}: sample ${wrong} has label ${set.labels[wrong]}, but the model knows the classes 0 to ${classes - 1}; mend the labels.`,
      );
    return accuracy(prediction, set.labels);
  };
  return {
    forgetAccuracy: await run(sets.forget),
    retainAccuracy: await run(sets.retain),
    testAccuracy: sets.test ? await run(sets.test) : null,
  };
}

/**
 * Largest difference between ONNX Runtime on the written file and the imported graph with the weights of that file.
 * @throws verificationFailed PARITY (exit 4)
 */
async function checkParity(file: string, options: ImportOptions, set: Dataset, threads?: number) {
  const written = importModel(loadModelFile(file), options);
  const samples = Math.min(32, set.count);
  const part: Dataset = {
    ...set,
    count: samples,
    labels: set.labels.slice(0, samples),
    inputs: Object.fromEntries(
      Object.entries(set.inputs).map(([name, { data, dims }]) => [
        name,
        { data: data.slice(0, (data.length / set.count) * samples), dims: [samples, ...dims.slice(1)] },
      ]),
    ),
  };
  const wanted = await predict(file, part, { ...written, ...(threads === undefined ? {} : { threads }) });
  const { outputKind } = written.head;
  if (outputKind === "labels")
    return {
      maxAbsDiff: null,
      samples,
      reason: "the file hands out labels only, there is nothing to compare",
    };
  const engine = await getEngine("onnxruntime");
  const runner = await engine.prepare(
    (carry, batch) => ({
      carry,
      results: {
        logits: written.apply(
          carry,
          Object.fromEntries(written.inputs.map(({ name }) => [name, batch[`x:${name}`]!])),
        ),
      },
    }),
    Object.fromEntries(
      written.parameters
        .filter((p) => p.trainable)
        .map((p) => [p.name, { spec: { shape: p.dims, dtype: "float32" as const }, data: p.data }]),
    ),
    Object.fromEntries(
      written.inputs.map(({ name }) => {
        const { data, dims } = part.inputs[name]!;
        return [
          `x:${name}`,
          { shape: dims, dtype: data instanceof Float32Array ? ("float32" as const) : ("int32" as const) },
        ];
      }),
    ),
    threads === undefined ? {} : { threads },
  );
  try {
    const { logits } = await runner.run(
      Object.fromEntries(written.inputs.map(({ name }) => [`x:${name}`, part.inputs[name]!.data])),
    );
    let maxAbsDiff = 0;
    let largest = 0;
    const ours = throughHead(logits as Float32Array, logits!.length / samples, outputKind);
    wanted.raw.forEach((v, i) => {
      maxAbsDiff = Math.max(maxAbsDiff, Math.abs(v - ours[i]!));
      largest = Math.max(largest, Math.abs(v));
    });
    const tolerance = parityTolerance(
      written.parameters.map((p) => p.dtype),
      largest,
    );
    if (!(maxAbsDiff <= tolerance))
      throw verificationFailed(
        "PARITY",
        `ONNX Runtime's outputs on the new model differ from the trained graph's by ${maxAbsDiff}, more than ${tolerance}.`,
      );
    return { maxAbsDiff, samples };
  } finally {
    await runner.dispose();
  }
}

/**
 * The whole road: model file and sets in, verified model file and before/after figures out. The new file is written to a
 * temporary folder, verified and measured there, and only then put in place; a failure leaves nothing behind.
 * @throws OnnxUnlearnError with the exit code of the command line
 */
export async function unlearn(
  request: UnlearnRequest,
  onProgress?: (p: TrainingProgress) => void,
  signal?: AbortSignal,
) {
  const started = performance.now();
  const options: UnlearnOptions = { ...DEFAULT_OPTIONS, ...request.options };
  const out = resolve(request.out);
  const source = loadModelFile(request.model);
  await refuseBadTarget(source, out, request.force);
  const model = importModel(source, request);
  const how = request.preprocessing ?? NO_PREPROCESSING;
  const load = (path: string) => loadDataset(path, model.inputs, how);
  const [forget, retain] = [load(request.forget), load(request.retain)];
  const test = request.test === undefined ? undefined : load(request.test);
  if (!request.allowOverlap) {
    const [pair] = findOverlap(forget, retain);
    if (pair)
      throw badInput(
        "OVERLAP",
        `Sample ${pair.indexA} of ${request.forget} is also sample ${pair.indexB} of ${request.retain}; remove it from one, or say --allow-overlap.`,
      );
  }
  const sets = { forget, retain, test };
  const before = await evaluateFile(request.model, model, sets, options.threads);
  const trained = await train(model, forget, retain, options, onProgress, signal);
  let folder: string;
  try {
    folder = mkdtempSync(join(dirname(out), ".onnx-unlearn-"));
  } catch (error) {
    throw badInput(
      "OUTPUT_FOLDER",
      `${dirname(out)} cannot be written (${(error as NodeJS.ErrnoException).code}); choose another --out.`,
    );
  }
  try {
    const trial = join(folder, "model.onnx");
    const { changed, changedBytes } = await exportModel(source, trained.weights, trial, {});
    const changedNames = changed.filter((t) => t.changedElements > 0).map((t) => t.name);
    verifyStructure(source, await verifyLoads(trial), changedNames);
    const parity = await checkParity(trial, request, forget, options.threads);
    const after = await evaluateFile(trial, model, sets, options.threads);
    if (signal?.aborted)
      throw new OnnxUnlearnError(
        "INTERRUPTED",
        "Interrupted before the new model was put in place; nothing was written.",
        130,
      );
    await exportModel(source, trained.weights, out, request.force ? { force: true } : {});
    const written = readFileSync(out);
    verifyBytes(out, written, sha256(readFileSync(trial)));
    return {
      before,
      after,
      budget: {
        epsilon: options.epsilon,
        steps: trained.steps,
        spent: trained.ledger.reduce((sum, { rise }) => sum + (rise ?? 0), 0),
        lambda: trained.lambda,
      },
      ledger: trained.ledger,
      export: { changedTensors: changedNames, changedBytes, parity },
      model: {
        before: { sha256: sha256(source.bytes), bytes: source.bytes.length },
        after: { sha256: sha256(written), bytes: written.length },
      },
      timing: {
        seconds: (performance.now() - started) / 1000,
        compileSeconds: trained.compileSeconds,
        steps: trained.steps,
        samplesPerSecond: trained.samplesPerSecond,
      },
      seed: options.seed,
      threads: options.threads ?? null,
      options,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
