import { elementCount } from "../../../converters/dims.ts";
import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import pkg from "onnx-proto";
import * as ort from "onnxruntime-node";
import { expect } from "vitest";
import { compileStep } from "../../../converters/compile/compile.ts";
import type { TensorSpec } from "../../../converters/compile/step.ts";
import { compareStructure } from "../../../converters/export/compare.ts";
import { patchModel } from "../../../converters/export/patch.ts";
import type { TrainableModel } from "../../../converters/import/model.ts";
import { readModel } from "../../../converters/onnx/read.ts";
import { deviation, type Feed, floats, forward, load, model, numbers, runtime, value } from "./build.ts";

const { onnx } = pkg;

export const feed = (dims: readonly number[], seed = 7): Feed => ({
  dims,
  data: numbers(elementCount(dims), seed),
});

/** The file with one more output: protobuf merges a second `graph` field into the first. */
const tapped = (bytes: Uint8Array, name: string): Uint8Array =>
  readModel(bytes).graph.outputs.some((output) => output.name === name)
    ? bytes
    : Uint8Array.from([...bytes, ...onnx.ModelProto.encode({ graph: { output: [{ name }] } }).finish()]);

const trainedOf = ({ parameters }: TrainableModel) => parameters.filter(({ trainable }) => trainable);

/** d/dw Σ c·logits of every trained weight: the graph compiled with its gradient, run in ONNX Runtime. */
async function gradients(
  imported: TrainableModel,
  feeds: Readonly<Record<string, Feed>>,
  cotangent: readonly number[],
): Promise<Map<string, Float32Array>> {
  const trained = trainedOf(imported);
  const specOf = ({ dims, type }: Feed): TensorSpec => ({
    shape: dims,
    dtype: type === undefined || type === "float32" ? "float32" : "int32",
  });
  const step = compileStep(
    (weights, batch) => {
      const { grads } = tf.valueAndGrads((...moving: tf.Tensor[]) => {
        const given = Object.fromEntries(trained.map(({ name }, i) => [name, moving[i]!]));
        const logits = imported.forward(given, batch);
        return tf.sum(tf.mul(logits, tf.tensor([...cotangent], logits.shape))) as tf.Scalar;
      })(trained.map(({ name }) => tf.keep(weights[name]!)));
      return { carry: weights, results: Object.fromEntries(trained.map(({ name }, i) => [name, grads[i]!])) };
    },
    {
      carry: Object.fromEntries(trained.map(({ name, dims }) => [name, { shape: dims, dtype: "float32" }])),
      batch: Object.fromEntries(Object.entries(feeds).map(([name, given]) => [name, specOf(given)])),
    },
  );
  const session = await ort.InferenceSession.create(step.bytes, {
    logSeverityLevel: 4,
    intraOpNumThreads: 1,
  });
  // A value that nothing computes with is no input of the compiled graph.
  const named = (entries: readonly (readonly [string, ort.Tensor])[]) =>
    Object.fromEntries(entries.filter(([name]) => session.inputNames.includes(name)));
  const result = await session.run({
    ...named(
      trained.map(({ name, data, dims }) => [
        step.inputs.carry[name]!,
        new ort.Tensor("float32", data, [...dims]),
      ]),
    ),
    ...named(
      Object.entries(feeds).map(([name, { data, dims, type }]) => [
        step.inputs.batch[name]!,
        type === "int64" || type === "uint8"
          ? new ort.Tensor("int32", Int32Array.from(data), dims)
          : new ort.Tensor("float32", Float32Array.from(data), dims),
      ]),
    ),
  });
  await session.release();
  return new Map(
    trained.map(({ name }) => [name, result[step.outputs.results[name]!]!.data as Float32Array]),
  );
}

export interface Road {
  readonly logits?: string;
  /** max |a − b| / max(1, max |b|) between the imported graph and ONNX Runtime. */
  readonly tolerance?: number;
  /** How the file is run; one that takes a fixed batch only is run piece by piece. */
  readonly run?: (bytes: Uint8Array, output: string) => Promise<number[]>;
}

/**
 * Imports, trains and exports one file. Its logits equal ONNX Runtime's. The slope of Σ c·logits along its
 * gradient, from central differences through ONNX Runtime on patched files, is the length of that gradient.
 * Once every trained weight has changed, the written file differs in these weights alone, and its logits are
 * again those of the imported graph.
 * @returns the trained weights
 */
export async function goesTheRoad(
  bytes: Uint8Array,
  feeds: Readonly<Record<string, Feed>>,
  { logits, tolerance = 1e-5, run }: Road = {},
): Promise<readonly string[]> {
  const source = readModel(bytes);
  const imported = load(bytes, { logits });
  const seen = imported.head.logits;
  const measure = (file: Uint8Array) =>
    run ? run(tapped(file, seen), seen) : runtime(tapped(file, seen), feeds, seen);
  const wanted = await measure(bytes);
  expect(deviation(await forward(imported, feeds), wanted)).toBeLessThan(tolerance);

  const trained = trainedOf(imported);
  const cotangent = numbers(wanted.length, 11);
  const slopes = await gradients(imported, feeds, cotangent);
  for (const [name, slope] of slopes)
    expect(Math.hypot(...slope), `gradient of ${name}`).toBeGreaterThan(1e-4);
  // Weights in a coarser type move in steps, which hide a slope.
  if (trained.every(({ dtype }) => dtype === "float32")) {
    const length = Math.hypot(...[...slopes.values()].flatMap((slope) => [...slope]));
    const along = async (t: number) => {
      const moved = new Map(
        trained.map(({ name, data }) => [name, data.map((v, i) => v + (t / length) * slopes.get(name)![i]!)]),
      );
      const values = await measure(patchModel(source, moved).bytes);
      return values.reduce((sum, v, i) => sum + (v - wanted[i]!) * cotangent[i]!, 0);
    };
    const h = 2 ** -6;
    const near = (await along(h)) - (await along(-h));
    const far = (await along(2 * h)) - (await along(-2 * h));
    expect(Math.abs((8 * near - far) / (12 * h) / length - 1), "slope along the gradient").toBeLessThan(1e-3);
  }

  const moved = new Map(trained.map((p) => [p.name, p.data.map((v, i) => v * 1.5 + 0.1 * ((i % 3) - 1))]));
  const { bytes: after, changed } = patchModel(source, moved);
  expect(changed.map(({ name }) => name).sort()).toEqual(trained.map(({ name }) => name).sort());
  const comparison = compareStructure(source, readModel(after));
  expect(comparison.differences).toEqual([]);
  expect(comparison.changedTensors.map(({ name }) => name).sort()).toEqual(
    changed.map(({ name }) => name).sort(),
  );
  const now = await measure(after);
  expect(deviation(await forward(load(after, { logits }), feeds), now)).toBeLessThan(tolerance);
  expect(deviation(now, wanted)).toBeGreaterThan(tolerance);
  return trained.map(({ name }) => name);
}

/** x [n,4] to y [n,3] through these nodes. */
export const classifier = (more: Parameters<typeof model>[0], options: Parameters<typeof model>[1] = {}) =>
  model({ input: [value("x", ["n", 4])], output: [value("y", ["n", 3])], ...more }, options);
export const W = floats("w", [4, 3], numbers(12, 2));
export const X = { x: feed([2, 4]) };
