import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as ort from "onnxruntime-node";
import { expect, test } from "vitest";
import { compileStep } from "../../../converters/compile/compile.ts";

type Tensors = Readonly<Record<string, tf.Tensor>>;

const shapes = { a: [6, 4, 2, 5], b: [6, 4, 2, 5], row: [1, 10, 1, 1] } as const;
const keys = ["a", "b", "row"] as const;
const data = Object.fromEntries(
  keys.map((key, i) => [
    key,
    Float32Array.from({ length: (shapes[key] as readonly number[]).reduce((p, q) => p * q, 1) }, (_, at) =>
      Math.sin(at * 1.7 + i),
    ),
  ]),
);

/** Compiles f, and compares what ONNX Runtime makes of it with tfjs cpu. */
async function run(f: (t: Tensors) => Record<string, tf.Tensor>) {
  const graph = compileStep((_, batch) => ({ carry: {}, results: f(batch) }), {
    carry: {},
    batch: Object.fromEntries(keys.map((key) => [key, { shape: shapes[key], dtype: "float32" }])),
  });
  const session = await ort.InferenceSession.create(graph.bytes, { logSeverityLevel: 3 });
  const out = await session.run(
    Object.fromEntries(
      keys.map((key) => [graph.inputs.batch[key]!, new ort.Tensor("float32", data[key]!, shapes[key])]),
    ),
  );
  await session.release();
  tf.setBackend("cpu");
  const truth = f(Object.fromEntries(keys.map((key) => [key, tf.tensor(data[key]!, [...shapes[key]])])));
  for (const [key, tensor] of Object.entries(truth)) {
    const got = out[graph.outputs.results[key]!]!.data as Float32Array;
    tensor.dataSync().forEach((value, i) => {
      expect(got[i]).toBeCloseTo(value, 5);
    });
  }
  return graph.nodeCounts;
}

/** As kernels/winograd.ts does: [places, N, C/b, b] and [N, C, H, W]. */
const fromPlanes = (t: tf.Tensor) => tf.reshape(tf.transpose(t, [1, 2, 0, 3]), [4, 10, 2, 3]);
const toPlanes = (t: tf.Tensor) => tf.transpose(tf.reshape(t, [4, 2, 6, 5]), [2, 0, 1, 3]);

test("element-wise operators between two transpositions keep the order they met", async () => {
  const counts = await run(({ a, b }) => {
    const sum = tf.add(fromPlanes(a!), fromPlanes(b!));
    const y = tf.relu(sum);
    return { y: tf.mul(toPlanes(y), 2), masked: tf.neg(toPlanes(tf.mul(sum, tf.step(y)))) };
  });
  expect(counts["Transpose"]).toBeUndefined();
});

test("also where a transposition of an operand stands there already, and for a sum over the places", async () => {
  const counts = await run(({ a, b }) => {
    const plain = tf.sin(tf.reshape(b!, [4, 10, 2, 3]));
    const placed = toPlanes(plain);
    const sum = tf.add(fromPlanes(a!), plain);
    const perChannel = tf.sum(tf.reshape(sum, [8, 6, 5]), 1);
    return { placed: tf.mul(placed, 3), y: tf.mul(toPlanes(sum), 2), sums: tf.abs(perChannel) };
  });
  expect(counts["Transpose"]).toBe(1);
});

test("one transposition at the end of element-wise operators takes the place of several before them", async () => {
  const counts = await run(({ a, b }) => {
    const sum = tf.relu(tf.add(fromPlanes(a!), tf.tanh(fromPlanes(b!))));
    return { perPlace: tf.sum(sum, 1), planes: tf.neg(toPlanes(sum)) };
  });
  expect(counts["Transpose"]).toBe(1);
});

test("an operand in another order is transposed where that saves bringing the others out of theirs", async () => {
  const counts = await run(({ a, b }) => {
    const sum = tf.add(tf.sin(tf.reshape(b!, [4, 10, 2, 3])), fromPlanes(a!));
    return { twice: tf.mul(toPlanes(tf.relu(sum)), 2), planes: tf.exp(toPlanes(sum)) };
  });
  expect(counts["Transpose"]).toBe(1);
});

test("an operand of one number per channel broadcasts in any order of the places", async () => {
  const counts = await run(({ a, row }) => {
    const perChannel = tf.reshape(row!, [1, 2, 1, 1, 5]);
    const scaled = tf.mul(tf.reshape(fromPlanes(a!), [4, 2, 2, 3, 5]), perChannel);
    return { y: tf.neg(toPlanes(scaled)) };
  });
  expect(counts["Transpose"]).toBeUndefined();
});

test("not where an operand broadcasts, stands in another order, or the transposed value is an output", async () => {
  const counts = await run(({ a, b, row }) => ({
    broadcast: tf.neg(toPlanes(tf.mul(fromPlanes(a!), row!))),
    other: tf.neg(
      toPlanes(tf.add(fromPlanes(a!), tf.reshape(tf.transpose(b!, [3, 2, 1, 0]), [4, 10, 2, 3]))),
    ),
    output: toPlanes(tf.relu(fromPlanes(b!))),
  }));
  // a to [N, C, H, W] once for both, b in two ways, and three back.
  expect(counts["Transpose"]).toBe(6);
});

test("a value used twice at every step of a long chain is looked at once", async () => {
  const chain = (from: tf.Tensor) => {
    let y = from;
    for (let i = 0; i < 40; i++) y = tf.sub(tf.mul(y, 0.75), tf.tanh(y));
    return y;
  };
  const counts = await run(({ a, b, row }) => ({
    kept: tf.neg(toPlanes(chain(fromPlanes(a!)))),
    not: tf.neg(toPlanes(chain(tf.mul(fromPlanes(b!), row!)))),
  }));
  expect(counts["Transpose"]).toBe(2);
});
