import { elementCount } from "../../../converters/dims.ts";
import "@tensorflow/tfjs-backend-cpu";
// Registers the gradients of all tfjs kernels.
import "@tensorflow/tfjs-layers";
import * as tf from "@tensorflow/tfjs-core";
import * as ort from "onnxruntime-node";
import { expect, test } from "vitest";
import { compileStep } from "../../../converters/compile/compile.ts";
import { onnx } from "../../../converters/onnx/proto.ts";
import { blockSize } from "../../../src/engine/block.ts";
import { convolution } from "./convolution.ts";

const wave = (size: number, phase: number) =>
  Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7 + phase));

const block = await blockSize();

/**
 * x, output channels, kernel, window, and what the gradient must be made of: groups of a convolution, or
 * products per sample. The two convolutions before and after bring x and dy into the blocked layout, where
 * there is one.
 */
test.each([
  ["every sample a group", [4, 3, 8, 8], 4, [3, 3], {}, { groups: 4 }],
  ["groups of two samples", [8, 6, 4, 4], 5, [3, 3], {}, { groups: 4 }],
  ["one group", [2, 16, 2, 2], 16, [3, 3], {}, { groups: 1 }],
  ["samples that do not halve", [3, 8, 4, 4], 8, [3, 3], {}, { groups: 1 }],
  ["strided, dilated", [4, 3, 9, 9], 4, [3, 3], { strides: [2, 2], dilations: [2, 1] }, { groups: 4 }],
  ["pointwise", [4, 5, 6, 6], 4, [1, 1], {}, { products: true }],
  ["pointwise, one block", [4, 16, 6, 6], 16, [1, 1], {}, { products: true }],
  ["pointwise, two blocks", [4, 32, 6, 6], 16, [1, 1], {}, { products: true }],
  ["pointwise, strided", [4, 16, 9, 9], 16, [1, 1], { strides: [2, 2] }, { products: true }],
  ["pointwise of many channels, strided", [4, 32, 3, 3], 32, [1, 1], { strides: [2, 2] }, { groups: 1 }],
] as const)(
  "%s",
  async (_, x, o, kernel, given, { groups, products }: { groups?: number; products?: boolean }) => {
    const c = x[1];
    const pads = kernel[0] === 3 ? [1, 1, 1, 1] : [0, 0, 0, 0];
    const shapes = { x, before: [c, c, 1, 1], w: [o, c, ...kernel], after: [o, o, 1, 1] };
    const keys = ["x", "before", "w", "after"] as const;
    const data = Object.fromEntries(keys.map((key, i) => [key, wave(elementCount(shapes[key]), i)]));
    const gradient = (t: Readonly<Record<string, tf.Tensor>>) =>
      tf.grad((w) => {
        const y = convolution(convolution(t.x!, t.before!, undefined, {}), w, undefined, { pads, ...given });
        return tf.sum(tf.square(convolution(tf.relu(y), t.after!, undefined, {})));
      })(t.w!);
    tf.setBackend("cpu");
    const truth = gradient(
      Object.fromEntries(keys.map((key) => [key, tf.tensor(data[key]!, [...shapes[key]])])),
    ).dataSync() as Float32Array;
    for (const b of new Set([0, block])) {
      const graph = compileStep(
        (_, batch) => ({ carry: {}, results: { dw: gradient(batch) } }),
        {
          carry: {},
          batch: Object.fromEntries(keys.map((key) => [key, { shape: shapes[key], dtype: "float32" }])),
        },
        { block: b },
      );
      // The convolution whose kernel is dy: it alone has as many places in its kernel as dy.
      const { node } = onnx.ModelProto.decode(graph.bytes).graph!;
      const found = node!.flatMap(({ opType, domain, attribute }) => {
        const of = (name: string) => attribute!.find((a) => a.name === name);
        const places = of("kernel_shape")?.ints ?? [];
        const isGradient =
          opType === "Conv" && domain === "" && Number(places[0] ?? 0) > 1 && `${places}` !== `${kernel}`;
        return isGradient ? [Number(of("group")!.i)] : [];
      });
      expect(found).toEqual(products ? [] : [groups]);
      const session = await ort.InferenceSession.create(graph.bytes, { logSeverityLevel: 3 });
      const out = await session.run(
        Object.fromEntries(
          keys.map((key) => [graph.inputs.batch[key]!, new ort.Tensor("float32", data[key]!, shapes[key])]),
        ),
      );
      await session.release();
      const got = out[graph.outputs.results["dw"]!]!.data as Float32Array;
      const largest = truth.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
      const worst = truth.reduce((m, v, i) => Math.max(m, Math.abs(v - got[i]!)), 0);
      expect(worst / largest, `block ${b}`).toBeLessThan(1e-5);
    }
  },
);
