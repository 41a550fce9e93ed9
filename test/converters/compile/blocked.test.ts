import { elementCount } from "../../../converters/dims.ts";
import "@tensorflow/tfjs-backend-cpu";
// Registers the gradients of all tfjs kernels.
import "@tensorflow/tfjs-layers";
import * as tf from "@tensorflow/tfjs-core";
import * as ort from "onnxruntime-node";
import { expect, test } from "vitest";
import { compileStep } from "../../../converters/compile/compile.ts";
import { clipBetween } from "../../../converters/kernels/clip.ts";
import { blockSize } from "../../../src/engine/block.ts";
import { convolution } from "./convolution.ts";

const wave = (size: number, phase: number) =>
  Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7 + phase));

type Weights = Readonly<Record<string, tf.Tensor>>;
const convolve = (x: tf.Tensor, w: tf.Tensor, bias?: tf.Tensor, strides = [1, 1]) =>
  convolution(x, w, bias, { pads: [1, 1, 1, 1], strides });

/** Operators between convolutions: each must give the same in the blocked layout as in row-major order. */
const nets: Readonly<Record<string, (x: tf.Tensor, w: Weights, c: number) => tf.Tensor>> = {
  "residual block": (x, { first, second, third, bias }) => {
    const y = tf.relu(convolve(x, first!, bias!));
    const z = tf.relu(tf.add(convolve(y, second!, bias!), y));
    return tf.mean(tf.relu(tf.add(z, convolve(z, third!))), [2, 3], true);
  },
  "sum of two convolutions": (x, { first, second, third }) => {
    const y = convolve(x, first!);
    return tf.add(tf.relu(convolve(y, second!)), convolve(y, third!));
  },
  "what fuses is also read elsewhere": (x, { first, second, bias }) => {
    const y = convolve(x, first!, bias!);
    const r = tf.relu(y);
    return tf.add(tf.mul(y, convolve(r, second!)), r);
  },
  "scale and shift per channel": (x, { first, second, bias }) => {
    const column = tf.reshape(bias!, [-1, 1, 1]);
    const y = tf.add(tf.mul(convolve(x, first!), column), column);
    return tf.mul(convolve(tf.relu(y), second!), tf.sigmoid(tf.mean(y, [2, 3], true)));
  },
  "clipped, strided": (x, { first, second, third, bias }) => {
    const y = clipBetween(convolve(x, first!, bias!), -0.25, 0.75);
    return clipBetween(convolve(convolve(y, second!, bias!, [2, 2]), third!), 0, 6);
  },
  "choices and quotients": (x, { first, second }) => {
    const y = convolve(x, first!);
    const z = tf.where(tf.greater(y, 0), tf.exp(tf.mul(y, -1)), tf.div(1, tf.sub(2, y)));
    return convolve(z, second!);
  },
  "channels side by side, cut apart": (x, { first, second, third }, c) => {
    const y = tf.concat([convolve(x, first!), tf.tanh(convolve(x, first!))], 1);
    const [a, b] = tf.split(y, [c, c], 1) as [tf.Tensor, tf.Tensor];
    return tf.add(convolve(a, second!), convolve(b, third!));
  },
  "reshaped and back": (x, { first, second }) => {
    const y = convolve(x, first!);
    const flat = tf.softmax(tf.reshape(y, [y.shape[0]!, -1]));
    return convolve(tf.reshape(flat, y.shape), second!);
  },
};

const CHANNELS = [16, 12, 10];
test.each(Object.keys(nets).flatMap((name) => CHANNELS.map((c) => [name, c] as const)))(
  "%s, %i channels: blocked equals tfjs cpu, values and gradients",
  async (name, c) => {
    const block = await blockSize();
    const shapes: Record<string, number[]> = {
      x: [2, 3, 6, 5],
      first: [c, 3, 3, 3],
      second: [c, c, 3, 3],
      third: [c, c, 3, 3],
      bias: [c],
    };
    const data = Object.fromEntries(
      Object.entries(shapes).map(([key, shape], i) => [
        key,
        wave(elementCount(shape), i).map((v) => (key === "x" ? v : v * 0.3)),
      ]),
    );
    const keys = Object.keys(shapes);
    const step = (batch: Readonly<Record<string, tf.Tensor>>) => {
      const { value, grads } = tf.valueAndGrads((...given: tf.Tensor[]) => {
        const tensors = Object.fromEntries(keys.map((key, i) => [key, given[i]!]));
        const y = nets[name]!(tensors.x!, tensors, c);
        const cotangent = tf.tensor(wave(y.size, 5), y.shape);
        // A zero times every weight: no net uses all of them.
        const rest = given.map((t) => tf.mul(tf.sum(t), 0)).reduce((a, b) => tf.add(a, b));
        return tf.add(tf.sum(tf.mul(y, cotangent)), rest) as tf.Scalar;
      })(keys.map((key) => tf.keep(batch[key]!)));
      return { value, ...Object.fromEntries(keys.map((key, i) => [key, grads[i]!])) };
    };
    tf.setBackend("cpu");
    const eager = step(Object.fromEntries(keys.map((key) => [key, tf.tensor(data[key]!, shapes[key])])));
    const wanted = Object.fromEntries(Object.entries(eager).map(([key, t]) => [key, t.dataSync()]));

    const graph = compileStep(
      (_, batch) => ({ carry: {}, results: step(batch) }),
      {
        carry: {},
        batch: Object.fromEntries(keys.map((key) => [key, { shape: shapes[key]!, dtype: "float32" }])),
      },
      { block },
    );
    if (block > 0 && c >= 0.6 * block) expect(graph.nodeCounts["ReorderOutput"]).toBeGreaterThan(0);
    const session = await ort.InferenceSession.create(graph.bytes, { logSeverityLevel: 3 });
    const out = await session.run(
      Object.fromEntries(
        keys.map((key) => [graph.inputs.batch[key]!, new ort.Tensor("float32", data[key]!, shapes[key]!)]),
      ),
    );
    for (const [key, values] of Object.entries(wanted)) {
      const got = out[graph.outputs.results[key]!]!.data as Float32Array;
      const norm = Math.hypot(...values);
      const error = Math.hypot(...Array.from(values, (v, i) => v - got[i]!));
      expect(error, key).toBeLessThanOrEqual(1e-4 * Math.max(norm, 1e-3));
    }
    await session.release();
  },
);

test("sums and activations run inside the convolutions", () => {
  const graph = compileStep(
    (_, { x, first, second, third, bias }) => ({
      carry: {},
      results: {
        y: nets["residual block"]!(x!, { first: first!, second: second!, third: third!, bias: bias! }, 16),
      },
    }),
    {
      carry: {},
      batch: {
        x: { shape: [2, 3, 6, 5], dtype: "float32" },
        first: { shape: [16, 3, 3, 3], dtype: "float32" },
        second: { shape: [16, 16, 3, 3], dtype: "float32" },
        third: { shape: [16, 16, 3, 3], dtype: "float32" },
        bias: { shape: [16], dtype: "float32" },
      },
    },
    { block: 8 },
  );
  expect(graph.nodeCounts["Conv"]).toBe(3);
  expect(graph.nodeCounts["Relu"] ?? 0).toBe(0);
  expect(graph.nodeCounts["Add"] ?? 0).toBe(0);
});
