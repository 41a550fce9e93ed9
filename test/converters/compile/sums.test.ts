import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as ort from "onnxruntime-node";
import { expect, test } from "vitest";
import { compileStep } from "../../../converters/compile/compile.ts";

const shape = [1, 40, 30, 48] as const;
const x = Float32Array.from({ length: 40 * 30 * 48 }, (_, i) => ((i * 7919) % 1009) / 504.5 - 1);

test.each([
  ["the first axes", [0, 1, 2], false, "MatMul"],
  ["one of the first axes, kept as one", [1], true, "MatMul"],
  ["an axis behind others", [2], false, "ReduceSum"],
  ["the last axis", [3], false, "ReduceSum"],
] as const)("a sum over %s", async (_, axes, keepDims, operator) => {
  const graph = compileStep(
    (__, batch) => ({ carry: {}, results: { y: tf.sum(batch["x"]!, [...axes], keepDims) } }),
    { carry: {}, batch: { x: { shape, dtype: "float32" } } },
  );
  expect(graph.nodeCounts[operator]).toBe(1);
  const session = await ort.InferenceSession.create(graph.bytes, { logSeverityLevel: 3 });
  const out = await session.run({ [graph.inputs.batch["x"]!]: new ort.Tensor("float32", x, shape) });
  await session.release();
  const found = out[graph.outputs.results["y"]!]!;
  tf.setBackend("cpu");
  const wanted = tf.sum(tf.tensor(x, [...shape]), [...axes], keepDims);
  expect(found.dims).toEqual(wanted.shape);
  const exact = wanted.dataSync();
  // Sums of up to 1,200 numbers below 1 in float32.
  for (const [i, value] of (found.data as Float32Array).entries())
    expect(Math.abs(value - exact[i]!)).toBeLessThanOrEqual(1e-4);
});

test("a vector's sum, and that of two vectors' product where nobody else needs it, are products of vectors", async () => {
  const vector = { shape: [600], dtype: "float32" } as const;
  const [a, b] = [x.subarray(0, 600), x.subarray(1000, 1600)];
  const step = ({ a: s, b: t }: Readonly<Record<string, tf.Tensor>>) => ({
    sum: tf.sum(s!),
    dot: tf.sum(tf.mul(s!, t!)),
    kept: tf.sum(tf.mul(t!, t!)),
    squares: tf.mul(t!, t!),
  });
  const graph = compileStep((_, batch) => ({ carry: {}, results: step(batch) }), {
    carry: {},
    batch: { a: vector, b: vector },
  });
  expect(graph.nodeCounts).toEqual({ MatMul: 3, Mul: 1 });
  const session = await ort.InferenceSession.create(graph.bytes, { logSeverityLevel: 3 });
  const { a: first, b: second } = graph.inputs.batch as { a: string; b: string };
  const out = await session.run({
    [first]: new ort.Tensor("float32", a, [600]),
    [second]: new ort.Tensor("float32", b, [600]),
  });
  await session.release();
  const value = (name: string) => (out[graph.outputs.results[name]!]!.data as Float32Array)[0]!;
  expect(value("sum")).toBeCloseTo(
    a.reduce((sum, v) => sum + v, 0),
    4,
  );
  expect(value("dot")).toBeCloseTo(
    a.reduce((sum, v, i) => sum + v * b[i]!, 0),
    4,
  );
  expect(value("kept")).toBeCloseTo(
    b.reduce((sum, v) => sum + v * v, 0),
    4,
  );
});
