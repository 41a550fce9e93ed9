import { elementCount } from "../../../converters/dims.ts";
import "@tensorflow/tfjs-backend-cpu";
// Registers the gradients of all tfjs kernels.
import "@tensorflow/tfjs-layers";
import * as tf from "@tensorflow/tfjs-core";
import * as ort from "onnxruntime-node";
import { expect, test } from "vitest";
import { tracingBackend } from "../../../converters/compile/backend.ts";
import { compileStep } from "../../../converters/compile/compile.ts";
import {
  type WinogradForm,
  winogradConv,
  winogradFilterGrad,
  winogradForm,
  winogradInputGrad,
} from "../../../converters/compile/kernels/winograd.ts";
import { conv } from "../../../converters/kernels/conv.ts";
import type { ConvAttributes } from "../../../converters/kernels/window.ts";
import { outputSpatial, resolveWindow } from "../../../converters/kernels/window.ts";
import { blockSize } from "../../../src/engine/block.ts";

const wave = (size: number, phase: number) =>
  Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7 + phase));

const attributes = (x: readonly number[], w: readonly number[], pads: readonly number[]): ConvAttributes => {
  const window = resolveWindow([3, 3], x.slice(2), { pads });
  const outputShape = [x[0]!, w[0]!, ...outputSpatial(x.slice(2), window)];
  return { ...window, group: 1, inputShape: x, filterShape: w, outputShape };
};

// Small shapes, for which the compiler itself would not choose this form.
test.each([
  ["even places", [2, 16, 4, 4], 8, [1, 1, 1, 1]],
  ["odd places, uneven pads", [3, 8, 5, 4], 16, [0, 1, 2, 1]],
  ["channels that fill no block", [2, 5, 3, 3], 6, [1, 1, 1, 1]],
  ["a single tile", [2, 3, 4, 4], 2, [0, 0, 0, 0]],
] as const)("%s: value and gradients equal the direct convolution", async (_, x, o, pads) => {
  const shapes = { x, w: [o, x[1], 3, 3], b: [o] };
  const a = attributes(x, shapes.w, pads);
  const keys = ["x", "w", "b", "dy"] as const;
  const dims = { ...shapes, dy: a.outputShape };
  const data = Object.fromEntries(keys.map((key, i) => [key, wave(elementCount(dims[key]), i)]));
  tf.setBackend("cpu");
  const given = keys.map((key) => tf.tensor(data[key]!, [...dims[key]])) as [
    tf.Tensor,
    tf.Tensor,
    tf.Tensor,
    tf.Tensor,
  ];
  const wanted = {
    y: conv(given[0], given[1], given[2], a),
    dx: tf.grad((t) => conv(t, given[1], undefined, a))(given[0], given[3]),
    dw: tf.grad((t) => conv(given[0], t, undefined, a))(given[1], given[3]),
  };
  const values = Object.entries(wanted).map(([key, t]) => [key, t.dataSync() as Float32Array] as const);
  const forms = ([2, 4] as const).flatMap((tile) =>
    (["dense", "separable"] as const).map((layout): WinogradForm => ({ tile, layout })),
  );
  const blocks = [...new Set([0, await blockSize()])];
  for (const [form, block] of forms.flatMap((form) => blocks.map((block) => [form, block] as const))) {
    const graph = compileStep(
      (_, batch) => {
        const [graph, { x, w, b, dy }] = [tracingBackend(), batch];
        const results = {
          y: winogradConv(graph, [x!, w!, b!], a, form),
          dx: winogradInputGrad(graph, dy!, w!, a, form),
          dw: winogradFilterGrad(graph, x!, dy!, a, form),
        };
        const tensor = (info: tf.TensorInfo) => tf.engine().makeTensorFromTensorInfo(info);
        return {
          carry: {},
          results: Object.fromEntries(Object.entries(results).map(([key, info]) => [key, tensor(info)])),
        };
      },
      {
        carry: {},
        batch: Object.fromEntries(keys.map((key) => [key, { shape: dims[key], dtype: "float32" }])),
      },
      { block },
    );
    expect(graph.nodeCounts["Conv"] ?? 0).toBe(0);
    const session = await ort.InferenceSession.create(graph.bytes, { logSeverityLevel: 3 });
    const out = await session.run(
      Object.fromEntries(
        keys.map((key) => [graph.inputs.batch[key]!, new ort.Tensor("float32", data[key]!, dims[key])]),
      ),
    );
    for (const [key, truth] of values) {
      const got = out[graph.outputs.results[key]!]!.data as Float32Array;
      const largest = truth.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
      const worst = truth.reduce((m, v, i) => Math.max(m, Math.abs(v - got[i]!)), 0);
      expect(worst / largest, `${key}, ${form.tile} ${form.layout}, block ${block}`).toBeLessThan(1e-5);
    }
  }
});

test("by channels and places; strides, dilations and other kernels stay direct", () => {
  const of = (x: number[], o: number, change: Partial<ConvAttributes> = {}) =>
    winogradForm({ ...attributes(x, [o, x[1]!, 3, 3], [1, 1, 1, 1]), ...change });
  expect(of([32, 512, 4, 4], 512)).toEqual({ tile: 4, layout: "dense" });
  expect(of([32, 128, 16, 16], 128)).toEqual({ tile: 4, layout: "separable" });
  expect(of([128, 64, 8, 8], 64)).toEqual({ tile: 4, layout: "separable" });
  expect(of([32, 512, 2, 2], 512)).toEqual({ tile: 2, layout: "dense" });
  expect(of([32, 64, 32, 32], 64)).toBeUndefined();
  expect(of([128, 32, 16, 16], 32)).toBeUndefined();
  expect(of([1, 512, 4, 4], 512)).toBeUndefined();
  expect(of([32, 512, 4, 4], 512, { strides: [2, 2] })).toBeUndefined();
  expect(of([32, 512, 4, 4], 512, { dilations: [2, 2] })).toBeUndefined();
  expect(of([32, 512, 4, 4], 512, { kernel: [1, 1] })).toBeUndefined();
});

test.each([
  [2, 1.5e-6],
  [4, 4e-6],
] as const)(
  "256 channels, %i outputs of a tile along an axis: rounding against float64",
  async (tile, bound) => {
    const noise = (size: number, seed: number) =>
      Float32Array.from({ length: size }, (_, i) => (Math.sin((i + 1) * 12.9898 + seed) * 43758.5453) % 1);
    const [size, channels, o] = [8, 256, 4];
    const [x, w] = [noise(channels * size * size, 0), noise(o * channels * 9, 1)];
    const a = attributes([1, channels, size, size], [o, channels, 3, 3], [1, 1, 1, 1]);
    const graph = compileStep(
      (_, batch) => {
        const form: WinogradForm = { tile, layout: "separable" };
        const info = winogradConv(tracingBackend(), [batch["x"]!, batch["w"]!], a, form);
        return { carry: {}, results: { y: tf.engine().makeTensorFromTensorInfo(info) } };
      },
      {
        carry: {},
        batch: {
          x: { shape: a.inputShape, dtype: "float32" },
          w: { shape: a.filterShape, dtype: "float32" },
        },
      },
    );
    const session = await ort.InferenceSession.create(graph.bytes, { logSeverityLevel: 3 });
    const out = await session.run({
      [graph.inputs.batch["x"]!]: new ort.Tensor("float32", x, a.inputShape),
      [graph.inputs.batch["w"]!]: new ort.Tensor("float32", w, a.filterShape),
    });
    const got = out[graph.outputs.results["y"]!]!.data as Float32Array;
    let [worst, largest] = [0, 0];
    for (let k = 0; k < o; k++)
      for (let row = 0; row < size; row++)
        for (let column = 0; column < size; column++) {
          let sum = 0;
          for (let c = 0; c < channels; c++)
            for (let tap = 0; tap < 9; tap++) {
              const [i, j] = [row + Math.floor(tap / 3) - 1, column + (tap % 3) - 1];
              if (i >= 0 && i < size && j >= 0 && j < size)
                sum += x[(c * size + i) * size + j]! * w[(k * channels + c) * 9 + tap]!;
            }
          worst = Math.max(worst, Math.abs(sum - got[(k * size + row) * size + column]!));
          largest = Math.max(largest, Math.abs(sum));
        }
    expect(worst / largest).toBeLessThan(bound);
  },
);
