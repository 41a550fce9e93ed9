import { elementCount } from "../../../converters/dims.ts";
import "@tensorflow/tfjs-backend-cpu";
// Registers the gradients of all tfjs kernels.
import "@tensorflow/tfjs-layers";
import * as tf from "@tensorflow/tfjs-core";
import * as ort from "onnxruntime-node";
import { expect, test } from "vitest";
import { compileStep } from "../../../converters/compile/compile.ts";
import { onnx } from "../../../converters/onnx/proto.ts";

const wave = (size: number, phase: number) =>
  Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7 + phase));

type Weights = Readonly<Record<string, tf.Tensor>>;
const dense = (x: tf.Tensor, w: tf.Tensor, bias?: tf.Tensor): tf.Tensor => {
  const y = tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D, false, true);
  return bias ? tf.add(y, bias) : y;
};

const shapes: Readonly<Record<string, number[]>> = {
  x: [8, 64],
  first: [256, 64],
  second: [256, 256],
  last: [10, 256],
  bias: [256],
  rows: [8, 1],
};

/** Operators between dense layers, and how many of their products then have the weight as left factor. */
const nets: Readonly<Record<string, readonly [number, (x: tf.Tensor, w: Weights) => tf.Tensor]>> = {
  "activations between": [
    2,
    (x, { first, second, last, bias }) =>
      dense(tf.tanh(dense(tf.relu(dense(x, first!, bias!)), second!, bias!)), last!),
  ],
  "a residual, gates by row": [
    2,
    (x, { first, second, last, bias, rows }) => {
      const y = tf.mul(dense(x, first!), tf.sigmoid(rows!));
      return dense(tf.add(tf.relu(dense(y, second!, bias!)), tf.mul(y, 0.5)), last!);
    },
  ],
  "means over rows and columns": [
    1,
    (x, { first, last, bias }) => {
      const y = dense(x, first!, bias!);
      const centred = tf.sub(tf.sub(y, tf.mean(y, 1, true)), tf.mean(y, 0, true));
      return dense(tf.mul(centred, tf.sigmoid(y)), last!);
    },
  ],
  "two factors of one product": [
    1,
    (x, { first, last, bias }) => {
      const y = tf.relu(dense(x, first!, bias!));
      return tf.concat([dense(y, last!), tf.matMul(y as tf.Tensor2D, y as tf.Tensor2D, false, true)], 1);
    },
  ],
  // A softmax over the features needs them side by side; its own layer stays as it was.
  "read by what needs whole rows": [
    1,
    (x, { first, second, last }) =>
      dense(tf.relu(dense(tf.softmax(dense(x, first!) as tf.Tensor2D), second!)), last!),
  ],
};

test.each(Object.entries(nets))(
  "%s: features first equals tfjs cpu, values and gradients",
  async (_, [weightsLeft, net]) => {
    const keys = Object.keys(shapes);
    const data = Object.fromEntries(
      keys.map((key, i) => [
        key,
        wave(elementCount(shapes[key]!), i).map((v) => v * (key === "x" ? 1 : 0.1)),
      ]),
    );
    const step = (batch: Weights) => {
      const { value, grads } = tf.valueAndGrads((...given: tf.Tensor[]) => {
        const tensors = Object.fromEntries(keys.map((key, i) => [key, given[i]!]));
        const y = net(tensors.x!, tensors);
        // A zero times every weight: no net uses all of them.
        const rest = given.map((t) => tf.mul(tf.sum(t), 0)).reduce((a, b) => tf.add(a, b));
        return tf.add(tf.sum(tf.mul(y, tf.tensor(wave(y.size, 5), y.shape))), rest) as tf.Scalar;
      })(keys.map((key) => tf.keep(batch[key]!)));
      return { value, ...Object.fromEntries(keys.map((key, i) => [key, grads[i]!])) };
    };
    tf.setBackend("cpu");
    const eager = step(Object.fromEntries(keys.map((key) => [key, tf.tensor(data[key]!, shapes[key])])));
    const wanted = Object.fromEntries(Object.entries(eager).map(([key, t]) => [key, t.dataSync()]));

    const { bytes, inputs, outputs } = compileStep((_carry, batch) => ({ carry: {}, results: step(batch) }), {
      carry: {},
      batch: Object.fromEntries(keys.map((key) => [key, { shape: shapes[key]!, dtype: "float32" }])),
    });
    const weights = ["first", "second"].map((key) => inputs.batch[key]!);
    const products = onnx.ModelProto.decode(bytes).graph!.node!.filter(({ opType }) => opType !== "Reshape");
    const forward = products.filter(
      ({ opType, input }) => /^(Gemm|(Fused)?MatMul)$/.test(opType!) && weights.includes(input![0]!),
    );
    // Left factors that are not transposed: the products of the forward pass.
    const left = forward.filter(
      ({ attribute }) => !attribute!.some(({ name, i }) => name === "transA" && Number(i) === 1),
    );
    expect(left).toHaveLength(weightsLeft);

    const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
    const out = await session.run(
      Object.fromEntries(
        keys.map((key) => [inputs.batch[key]!, new ort.Tensor("float32", data[key]!, shapes[key]!)]),
      ),
    );
    for (const [key, values] of Object.entries(wanted)) {
      const got = out[outputs.results[key]!]!.data as Float32Array;
      const error = Math.hypot(...Array.from(values, (v, i) => v - got[i]!));
      expect(error, key).toBeLessThanOrEqual(1e-5 * Math.max(Math.hypot(...values), 1e-3));
    }
    await session.release();
  },
);

test("with more rows than features nothing is turned round", () => {
  const { bytes } = compileStep(
    (_, { x, w, v }) => ({ carry: {}, results: { y: dense(tf.relu(dense(x!, w!)), v!) } }),
    {
      carry: {},
      batch: {
        x: { shape: [512, 64], dtype: "float32" },
        w: { shape: [256, 64], dtype: "float32" },
        v: { shape: [10, 256], dtype: "float32" },
      },
    },
  );
  const [product] = onnx.ModelProto.decode(bytes).graph!.node!.filter(({ opType }) =>
    /MatMul|Gemm/.test(opType!),
  );
  expect(product!.input![0]).toBe("batch0");
});
