// Registers the gradients of all tfjs kernels.
import "@tensorflow/tfjs-layers";
import * as tf from "@tensorflow/tfjs-core";
import * as ort from "onnxruntime-node";
import { expect, test } from "vitest";
import { compileStep } from "../../converters/compile/compile.ts";
import "../../converters/kernels/piecewise.ts";

// d/dx Σ 2·f(x) = 2 for every f that changes nothing: a lowering that returns its input must not count its
// gradient twice.
const nothing: Readonly<Record<string, (x: tf.Tensor) => tf.Tensor>> = {
  "times 1": (x) => tf.mul(x, tf.scalar(1)),
  "plus 0": (x) => tf.add(x, tf.scalar(0)),
  "minus 0": (x) => tf.sub(x, tf.scalar(0)),
  "over 1": (x) => tf.div(x, tf.scalar(1)),
  "to the power of 1": (x) => tf.pow(x, tf.scalar(1)),
  "same shape": (x) => tf.reshape(x, [2, 3]),
  "same type": (x) => tf.cast(x, "float32"),
  "same order": (x) => tf.transpose(x, [0, 1]),
  "sum over no axis": (x) => tf.sum(x, []),
  "whole slice": (x) => tf.slice(x, [0, 0], [2, 3]),
  "no padding": (x) =>
    tf.pad(x, [
      [0, 0],
      [0, 0],
    ]),
  "tiled once": (x) => tf.tile(x, [1, 1]),
  "two in a row": (x) => tf.add(tf.mul(x, tf.scalar(1)), tf.scalar(0)),
};

test.each(Object.entries(nothing))("%s: the compiled gradient counts once", async (_, f) => {
  const graph = compileStep(
    (carry, { x }) => {
      const { grads } = tf.valueAndGrads((y) => tf.sum(tf.mul(f(y!), tf.scalar(2))) as tf.Scalar)([x!]);
      return { carry, results: { gradient: grads[0]! } };
    },
    { carry: {}, batch: { x: { shape: [2, 3], dtype: "float32" } } },
  );
  const session = await ort.InferenceSession.create(graph.bytes, { logSeverityLevel: 3 });
  const input = new ort.Tensor("float32", Float32Array.of(0.5, -1, 2, 3, -4, 0.25), [2, 3]);
  // A gradient that is constant needs no input; the graph declares it all the same.
  const out = await session.run({ [graph.inputs.batch["x"]!]: input });
  expect(Array.from(out[graph.outputs.results["gradient"]!]!.data as Float32Array)).toEqual([
    2, 2, 2, 2, 2, 2,
  ]);
});

test("a comparison between weight and loss passes no gradient and does not stop the rest", async () => {
  // f(x) = Σ where(x > 0, 3x, 0): the condition depends on x, its gradient is zero.
  const graph = compileStep(
    (carry, { x }) => {
      const { grads } = tf.valueAndGrads(
        (y) => tf.sum(tf.where(tf.greater(y!, 0), tf.mul(y!, 3), tf.zerosLike(y!))) as tf.Scalar,
      )([x!]);
      return { carry, results: { gradient: grads[0]! } };
    },
    { carry: {}, batch: { x: { shape: [3], dtype: "float32" } } },
  );
  const session = await ort.InferenceSession.create(graph.bytes, { logSeverityLevel: 3 });
  const input = new ort.Tensor("float32", Float32Array.of(0.5, -1, 2), [3]);
  const out = await session.run({ [graph.inputs.batch["x"]!]: input });
  expect(Array.from(out[graph.outputs.results["gradient"]!]!.data as Float32Array)).toEqual([3, 0, 3]);
});

test("the gradient of a mean is not made whole before it meets the mask of a ReLU", async () => {
  const shape = [2, 3, 4, 4] as const;
  const f = (x: tf.Tensor) => tf.sum(tf.square(tf.mean(tf.relu(x), [2, 3]))) as tf.Scalar;
  const gradient = (x: tf.Tensor) => tf.valueAndGrad(f)(x).grad;
  const graph = compileStep((carry, { x }) => ({ carry, results: { gradient: gradient(x!) } }), {
    carry: {},
    batch: { x: { shape, dtype: "float32" } },
  });
  expect(graph.nodeCounts["Expand"]).toBeUndefined();
  const x = Float32Array.from({ length: 96 }, (_, i) => Math.sin(i * 1.7));
  const session = await ort.InferenceSession.create(graph.bytes, { logSeverityLevel: 3 });
  const out = await session.run({ [graph.inputs.batch["x"]!]: new ort.Tensor("float32", x, shape) });
  await session.release();
  const y = out[graph.outputs.results["gradient"]!]!.data as Float32Array;
  // d/dx Σ m² = 2 m / 16 where x > 0, m the mean of its image.
  for (const [i, value] of x.entries()) {
    const image = x.slice(Math.floor(i / 16) * 16, Math.floor(i / 16) * 16 + 16);
    const mean = image.reduce((sum, v) => sum + Math.max(0, v), 0) / 16;
    expect(y[i]).toBeCloseTo(value > 0 ? (2 * mean) / 16 : 0, 6);
  }
});
