import { elementCount } from "../../converters/dims.ts";
import { notTrainable } from "../../converters/errors.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import type { OnnxModel } from "../../converters/onnx/model.ts";
import { onnx } from "../../converters/onnx/proto.ts";
import { createBatcher, everySample, inMemory } from "../data/batcher.ts";
import { mapSets, type Sets } from "../data/sets.ts";
import type { Dataset } from "../data/types.ts";
import { openFile } from "../engine/session.ts";
import { fromRuntime, toRuntime } from "../engine/tensors.ts";
import { inputColumns, inputShapes, inputSpecs } from "../unlearn/inputs.ts";
import { inputKeys } from "../unlearn/state.ts";

/**
 * A model file with more outputs, appended as bytes: protobuf merges a second `graph` field into the first.
 */
export function withOutputs(bytes: Uint8Array, names: readonly string[]): Uint8Array {
  const more = onnx.ModelProto.encode({ graph: { output: names.map((name) => ({ name })) } }).finish();
  const joined = new Uint8Array(bytes.length + more.length);
  joined.set(bytes);
  joined.set(more, bytes.length);
  return joined;
}

/** An ONNX Runtime session of a model that can also return the named intermediate values. */
const openTapped = (source: OnnxModel, names: readonly string[], threads: number | undefined) =>
  openFile({ ...source, bytes: withOutputs(source.bytes, names) }, { threads });

/** The model with the inputs that `apply` takes: after a cut, they include the precomputed values. */
export const behindPrefix = (model: TrainableModel): TrainableModel =>
  model.frontier.length > 0 ? { ...model, inputs: model.stepInputs } : model;

/** Limit on the precomputed values of all sets of a run; if they take more, the model is not cut. */
const HELD_BYTES = 2 ** 29;

/**
 * Cuts a model before its first trained weight, so that the frozen nodes before the cut (the prefix) are
 * computed once per sample and not in every epoch. Returns the model itself if there is no such node, if the
 * values at the cut are not one row of floats per sample, or if they would take more than 512 MiB.
 */
export async function cutFrozen(
  model: TrainableModel,
  sets: readonly [Dataset, ...Dataset[]],
): Promise<TrainableModel> {
  if (model.frontier.length > 0) return model;
  const cut = model.cutAtWeights();
  if (cut.frontier.length === 0) return model;
  const inputs = inputShapes(model.inputs, sets);
  const shapesOf = (rows: number) => {
    const shapes = model.shapes(
      Object.fromEntries(inputs.map(({ name, shape }) => [name, [rows, ...shape]])),
    );
    return cut.frontier.map((name) => shapes.get(name)!);
  };
  // Two batch sizes, as the first axis could have one of them by coincidence.
  const perSample = [2, 3].every((rows) => shapesOf(rows).every(([first]) => first === rows));
  const floats = shapesOf(1).reduce((sum, dims) => sum + elementCount(dims), 0);
  const samples = sets.reduce((sum, { count }) => sum + count, 0);
  if (!perSample || 4 * floats * samples > HELD_BYTES) return model;
  const session = await openTapped(model.source, cut.frontier, undefined);
  const kinds = session.outputMetadata.filter(({ name }) => cut.frontier.includes(name));
  await session.release();
  return kinds.every((value) => value.isTensor && /^float(16|32)$/.test(value.type)) ? cut : model;
}

/** Computes the values at a model's cut for sets of samples. */
export interface PrefixSession {
  /**
   * Adds the values at the cut to the inputs of a set.
   * @throws notTrainable PREFIX_SHAPE (exit 3) where a value is not one row per sample
   */
  compute(set: Dataset): Promise<Dataset>;
  release(): Promise<void>;
}

/** Opens an ONNX Runtime session that computes the values at a model's cut (its `frontier`). */
export async function openPrefix(model: TrainableModel, threads?: number): Promise<PrefixSession> {
  const session = await openTapped(model.source, model.frontier, threads);
  return {
    async compute(set) {
      const rows = model.fixedBatch ?? Math.min(64, set.count);
      const fed = inputShapes(model.inputs, [set]);
      const batcher = createBatcher({ columns: inputSpecs(fed, rows), rows, padding: "zeros" });
      const source = inMemory(inputColumns(fed, set));
      const inputs = { ...set.inputs };
      for await (const { arrays, from, count } of batcher.walk(source, everySample(set.count))) {
        const values = inputKeys.read(arrays);
        const feeds = Object.fromEntries(
          model.inputs.map(({ name, dtype }, i) => [
            name,
            toRuntime(values[name]!, [rows, ...fed[i]!.shape], dtype),
          ]),
        );
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
          if (from === 0)
            inputs[name] = {
              data: new (type.startsWith("float") ? Float32Array : Int32Array)(set.count * width),
              dims: [set.count, ...dims.slice(1)],
            };
          inputs[name]!.data.set(data.subarray(0, count * width), from * width);
        }
      }
      return { ...set, inputs };
    },
    release: () => session.release(),
  };
}

/**
 * A set with the values at a model's cut; the set itself if the model is not cut.
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

/** {@link withPrefix} for every set of a run; the test set only if `test` says that a condition needs it. */
export async function withPrefixes(
  model: TrainableModel,
  sets: Sets,
  { test, threads }: { readonly test: boolean; readonly threads: number },
): Promise<Sets> {
  if (model.frontier.length === 0) return sets;
  const session = await openPrefix(model, threads);
  try {
    const computed = await mapSets({ ...sets, test: test ? sets.test : undefined }, session.compute);
    return test ? computed : { ...computed, test: sets.test };
  } finally {
    await session.release();
  }
}
