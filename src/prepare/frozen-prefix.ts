import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { notTrainable } from "../../converters/errors.ts";
import type { ImportOptions, TrainableModel } from "../../converters/import/model.ts";
import { importModel } from "../../converters/importer.ts";
import type { OnnxModel } from "../../converters/onnx/model.ts";
import { onnx } from "../../converters/onnx/proto.ts";
import type { Sets } from "../data/sets.ts";
import type { Dataset } from "../data/types.ts";
import { fromRuntime } from "../engine/tensors.ts";
import { feedsOf } from "../evaluate/predict.ts";
import * as ort from "../runtime.ts";
import { inputShapes } from "../unlearn/inputs.ts";

/** The file with more outputs: protobuf merges a second `graph` field into the first, so no byte is decoded. */
export function withOutputs(bytes: Uint8Array, names: readonly string[]): Uint8Array {
  const more = onnx.ModelProto.encode({ graph: { output: names.map((name) => ({ name })) } }).finish();
  const joined = new Uint8Array(bytes.length + more.length);
  joined.set(bytes);
  joined.set(more, bytes.length);
  return joined;
}

/** ONNX Runtime on a model whose inner values can be fetched; side files are laid beside it in a folder of its own. */
async function openTapped(
  source: OnnxModel,
  names: readonly string[],
  threads: number | undefined,
): Promise<ort.InferenceSession> {
  const bytes = withOutputs(source.bytes, names);
  const options = {
    logSeverityLevel: 4 as const,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
  };
  if (!source.sideFiles?.size) return ort.InferenceSession.create(bytes, options);
  const folder = mkdtempSync(join(tmpdir(), "onnx-unlearn-prefix-"));
  try {
    for (const [side, data] of source.sideFiles) {
      mkdirSync(dirname(join(folder, side)), { recursive: true });
      writeFileSync(join(folder, side), data);
    }
    writeFileSync(join(folder, "model.onnx"), bytes);
    return await ort.InferenceSession.create(join(folder, "model.onnx"), options);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The model as training sees it: its inputs are what `apply` takes. */
export const behindPrefix = (model: TrainableModel): TrainableModel =>
  model.frontier.length > 0 ? { ...model, inputs: model.stepInputs } : model;

/** Activations that a run keeps, in bytes, all its sets together; a prefix with more is computed anew in every step. */
const KEPT_BYTES = 2 ** 29;

/**
 * The model to train on these sets: cut where its trained weights begin, so that what stands before them is computed once per
 * sample and not once per epoch; the model itself where there is nothing before them, its values are not one row of floats per
 * sample, or they would take more than 512 MB.
 * @param options what the model was imported with
 */
export async function cutFrozen(
  model: TrainableModel,
  options: ImportOptions,
  sets: readonly [Dataset, ...Dataset[]],
): Promise<TrainableModel> {
  if (model.frontier.length > 0) return model;
  const cut = importModel(model.source, { ...options, frozenOnce: true });
  if (cut.frontier.length === 0) return model;
  const inputs = inputShapes(model.inputs, sets);
  const shapesOf = (rows: number) => {
    const shapes = model.shapes(
      Object.fromEntries(inputs.map(({ name, shape }) => [name, [rows, ...shape]])),
    );
    return cut.frontier.map((name) => shapes.get(name)!);
  };
  const product = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1);
  // Two numbers of rows tell the batch from an axis that happens to be as long.
  const perSample = [2, 3].every((rows) => shapesOf(rows).every(([first]) => first === rows));
  const floats = shapesOf(1).reduce((sum, dims) => sum + product(dims), 0);
  const samples = sets.reduce((sum, { count }) => sum + count, 0);
  if (!perSample || 4 * floats * samples > KEPT_BYTES) return model;
  const session = await openTapped(model.source, cut.frontier, undefined);
  const kinds = session.outputMetadata.filter(({ name }) => cut.frontier.includes(name));
  await session.release();
  return kinds.every((value) => value.isTensor && /^float(16|32)$/.test(value.type)) ? cut : model;
}

/** Computes what stands before the training of a model for sets of samples. */
export interface PrefixSession {
  /** @throws notTrainable PREFIX_SHAPE (exit 3) where an output is not one row per sample */
  compute(set: Dataset): Promise<Dataset>;
  release(): Promise<void>;
}

/** Makes ONNX Runtime ready to compute a model's frontier. */
export async function openPrefix(model: TrainableModel, threads?: number): Promise<PrefixSession> {
  const session = await openTapped(model.source, model.frontier, threads);
  return {
    async compute(set) {
      const rows = model.fixedBatch ?? Math.min(64, set.count);
      const inputs = { ...set.inputs };
      for (let at = 0; at < set.count; at += rows) {
        const valid = Math.min(rows, set.count - at);
        const feeds = feedsOf(set, model.inputs, { from: at, count: valid, rows });
        const out = await session.run(feeds, [...model.frontier]);
        for (const name of model.frontier) {
          const { dims, type } = out[name]!;
          const data = fromRuntime(out[name]!);
          if (dims[0] !== rows)
            throw notTrainable(
              "PREFIX_SHAPE",
              `"${name}", which ONNX Runtime computes before training, has shape [${dims}] for ${rows} samples, not one row each; this model cannot be trained.`,
            );
          const width = data.length / rows;
          if (at === 0)
            inputs[name] = {
              data: new (type.startsWith("float") ? Float32Array : Int32Array)(set.count * width),
              dims: [set.count, ...dims.slice(1)],
            };
          inputs[name]!.data.set(data.subarray(0, valid * width), at * width);
        }
      }
      return { ...set, inputs };
    },
    release: () => session.release(),
  };
}

/**
 * Adds to a set what stands before the training of its samples, computed once, as no trained weight stands before it. A model
 * without such a beginning gets its set back.
 * @throws notTrainable PREFIX_SHAPE (exit 3) as {@link PrefixSession}
 */
export async function withPrefix(model: TrainableModel, set: Dataset, threads?: number): Promise<Dataset> {
  if (model.frontier.length === 0) return set;
  const session = await openPrefix(model, threads);
  try {
    return await session.compute(set);
  } finally {
    await session.release();
  }
}

/** {@link withPrefix} for every set that training looks at; the test set is one of them where a condition names it. */
export async function withPrefixes(
  model: TrainableModel,
  sets: Sets,
  { test, threads }: { readonly test: boolean; readonly threads: number },
): Promise<Sets> {
  if (model.frontier.length === 0) return sets;
  const session = await openPrefix(model, threads);
  try {
    const also: Record<string, Dataset> = {};
    for (const [name, set] of Object.entries(sets.also ?? {})) also[name] = await session.compute(set);
    return {
      forget: await session.compute(sets.forget),
      retain: await session.compute(sets.retain),
      test: sets.test && test ? await session.compute(sets.test) : sets.test,
      validation: sets.validation && (await session.compute(sets.validation)),
      ...(sets.also ? { also } : {}),
    };
  } finally {
    await session.release();
  }
}
