import * as tf from "@tensorflow/tfjs-core";
import * as ort from "onnxruntime-node";
import { expect, test } from "vitest";
import { compileStep } from "../../../converters/compile/compile.ts";

const N = 2 ** 14;
const wave = (phase: number) => Float32Array.from({ length: N }, (_, i) => Math.sin(i * 1.7 + phase));
const data: Readonly<Record<string, Float32Array>> = {
  p: wave(0),
  v: wave(1),
  x: wave(2),
  lr: Float32Array.of(0.3),
};

/** Compiles f and runs it on p, v, x [128, 128] and the scalar lr. */
const run = async (f: (t: Readonly<Record<string, tf.Tensor>>) => Record<string, tf.Tensor>) => {
  const shape = (key: string) => (key === "lr" ? [] : [128, 128]);
  const graph = compileStep((_, batch) => ({ carry: {}, results: f(batch) }), {
    carry: {},
    batch: Object.fromEntries(Object.keys(data).map((key) => [key, { shape: shape(key), dtype: "float32" }])),
  });
  const session = await ort.InferenceSession.create(graph.bytes, { logSeverityLevel: 3 });
  const feeds = Object.entries(data).map(
    ([key, values]) => [graph.inputs.batch[key]!, new ort.Tensor("float32", values, shape(key))] as const,
  );
  const out = await session.run(Object.fromEntries(feeds));
  await session.release();
  return {
    fused: graph.nodeCounts["FusedConv"] ?? 0,
    values: (key: string) => out[graph.outputs.results[key]!]!.data as Float32Array,
  };
};

const f32 = Math.fround;

test("decay and momentum go into the gradient's memory, with the bits of two roundings each", async () => {
  const { fused, values } = await run(({ p, v, x, lr }) => {
    const gradient = tf.neg(x!);
    const velocity = tf.add(tf.mul(v!, 0.9), tf.add(gradient, tf.mul(p!, 5e-4)));
    return { velocity, next: tf.sub(p!, tf.mul(velocity, lr!)) };
  });
  expect(fused).toBe(2);
  const [decay, momentum, lr] = [f32(5e-4), f32(0.9), f32(0.3)];
  const velocity = data.p!.map((p, i) =>
    f32(f32(f32(p * decay) - data.x![i]!) + f32(data.v![i]! * momentum)),
  );
  expect(values("velocity")).toEqual(velocity);
  expect(values("next")).toEqual(data.p!.map((p, i) => f32(p - f32(velocity[i]! * lr))));
});

test("not where the sum or the product is read elsewhere, or the sum is an input", async () => {
  const { fused, values } = await run(({ p, v, x, lr }) => {
    const sum = tf.neg(x!);
    const product = tf.mul(p!, lr!);
    return {
      shared: tf.add(sum, product),
      sum: tf.abs(sum),
      product: tf.abs(product),
      input: tf.add(v!, tf.mul(x!, 3)),
    };
  });
  expect(fused).toBe(0);
  const lr = f32(0.3);
  expect(values("shared")).toEqual(data.x!.map((x, i) => f32(f32(data.p![i]! * lr) - x)));
  expect(values("input")).toEqual(data.v!.map((v, i) => f32(v + f32(data.x![i]! * 3))));
});
