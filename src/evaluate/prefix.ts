import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import pkg from "onnx-proto";
import { notTrainable } from "../../converters/errors.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import type { OnnxModel } from "../../converters/onnx/model.ts";
import type { Sets } from "../data/sets.ts";
import { fromRuntime } from "../engine/tensors.ts";
import * as ort from "../runtime.ts";
import type { Dataset } from "../unlearn/types.ts";
import { feedsOf } from "./predict.ts";

/** The file with more outputs: protobuf merges a second `graph` field into the first, so no byte is decoded. */
export function withOutputs(bytes: Uint8Array, names: readonly string[]): Uint8Array {
  const more = pkg.onnx.ModelProto.encode({ graph: { output: names.map((name) => ({ name })) } }).finish();
  const joined = new Uint8Array(bytes.length + more.length);
  joined.set(bytes);
  joined.set(more, bytes.length);
  return joined;
}

/** ONNX Runtime on a model whose inner values can be fetched; side files are laid beside it in a folder of its own. */
async function openTapped(source: OnnxModel, names: readonly string[]): Promise<ort.InferenceSession> {
  const bytes = withOutputs(source.bytes, names);
  if (!source.sideFiles?.size) return ort.InferenceSession.create(bytes, { logSeverityLevel: 4 });
  const folder = mkdtempSync(join(tmpdir(), "onnx-unlearn-prefix-"));
  try {
    for (const [side, data] of source.sideFiles) {
      mkdirSync(dirname(join(folder, side)), { recursive: true });
      writeFileSync(join(folder, side), data);
    }
    writeFileSync(join(folder, "model.onnx"), bytes);
    return await ort.InferenceSession.create(join(folder, "model.onnx"), { logSeverityLevel: 4 });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The model as training sees it: its inputs are what `apply` takes. */
export const behindPrefix = (model: TrainableModel): TrainableModel =>
  model.frontier.length > 0 ? { ...model, inputs: model.stepInputs } : model;

/**
 * Adds to a set what the operators that only ONNX Runtime knows make of its samples: computed once, as no trained weight
 * stands before them. A model without such operators gets its set back.
 * @throws notTrainable PREFIX_SHAPE (exit 3) where their outputs are not one row per sample
 */
export async function withPrefix(model: TrainableModel, set: Dataset): Promise<Dataset> {
  if (model.frontier.length === 0) return set;
  const session = await openTapped(model.source, model.frontier);
  const rows = model.fixedBatch ?? Math.min(64, set.count);
  const parts = new Map<string, { data: number[]; dims: readonly number[]; isFloat: boolean }>();
  try {
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
        const part = parts.get(name) ?? { data: [], dims: dims.slice(1), isFloat: type.startsWith("float") };
        const width = data.length / rows;
        for (let i = 0; i < valid * width; i++) part.data.push(data[i]!);
        parts.set(name, part);
      }
    }
  } finally {
    await session.release();
  }
  const inputs = { ...set.inputs };
  for (const [name, { data, dims, isFloat }] of parts)
    inputs[name] = {
      data: isFloat ? Float32Array.from(data) : Int32Array.from(data),
      dims: [set.count, ...dims],
    };
  return { ...set, inputs };
}

/** {@link withPrefix} for every set of a run. */
export async function withPrefixes(model: TrainableModel, sets: Sets): Promise<Sets> {
  if (model.frontier.length === 0) return sets;
  const one = async (set: Dataset | undefined) => set && withPrefix(model, set);
  const also: Record<string, Dataset> = {};
  for (const [name, set] of Object.entries(sets.also ?? {})) also[name] = await withPrefix(model, set);
  return {
    forget: await withPrefix(model, sets.forget),
    retain: await withPrefix(model, sets.retain),
    test: await one(sets.test),
    validation: await one(sets.validation),
    ...(sets.also ? { also } : {}),
  };
}
