import "@tensorflow/tfjs-backend-cpu";
// Registers the gradients of all tfjs kernels.
import "@tensorflow/tfjs-layers";
import * as tf from "@tensorflow/tfjs-core";
import { expect, test } from "vitest";
import { foldBatchNormalization } from "../../../converters/import/fold.ts";
import { describeNode, getOperator } from "../../../converters/import/registry.ts";
import { runNode } from "../../../converters/import/run.ts";
import type { Value } from "../../../converters/import/value.ts";
import type { OnnxNode } from "../../../converters/onnx/model.ts";

const node = (
  opType: string,
  inputs: string[],
  outputs: string[],
  attributes: OnnxNode["attributes"] = {},
): OnnxNode => ({ name: opType, opType, domain: "", inputs, outputs, attributes });
const planOf = (nodes: OnnxNode[]) =>
  nodes.map((n) => ({ node: n, run: getOperator(n, 17), opset: 17, where: describeNode(n, 17) }));
const NORM = ["scale", "shift", "mean", "variance"];
const convolution = (bias: string[]) => node("Conv", ["x", "w", ...bias], ["z"], { pads: [1, 1, 1, 1] });
const norm = node("BatchNormalization", ["z", ...NORM], ["y"], { epsilon: 0.01 });

/** Deterministic values without a pattern of their own. */
const wave = (size: number, phase: number) =>
  Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7 + phase));
const shapes: Readonly<Record<string, number[]>> = {
  x: [2, 3, 4, 4],
  w: [5, 3, 3, 3],
  b: [5],
  scale: [5],
  shift: [5],
  mean: [5],
  variance: [5],
};

/** Σ y·c, and its gradient in everything that was read. */
function differentiate(plan: ReturnType<typeof planOf>) {
  tf.setBackend("cpu");
  const read = new Set(plan.flatMap(({ node: { inputs } }) => inputs));
  const names = Object.keys(shapes).filter((name) => read.has(name));
  const tensors = names.map((name, i) => {
    const shape = shapes[name]!;
    const values = wave(
      shape.reduce((p, d) => p * d, 1),
      i,
    );
    return tf.tensor(name === "variance" ? values.map((v) => 1.5 + v) : values, shape);
  });
  const cotangent = tf.tensor(wave(2 * 5 * 4 * 4, 9), [2, 5, 4, 4]);
  const { value, grads } = tf.valueAndGrads((...given: tf.Tensor[]) => {
    const values = new Map<string, Value>(names.map((name, i) => [name, given[i]!]));
    for (const planned of plan) {
      const outputs = runNode(planned, values);
      planned.node.outputs.forEach((name, i) => {
        values.set(name, outputs[i]!);
      });
    }
    return tf.sum(tf.mul(values.get("y") as tf.Tensor, cotangent)) as tf.Scalar;
  })(tensors);
  return [value, ...grads].map((t) => Array.from(t.dataSync()));
}

test.each([[["b"]], [[]]])(
  "convolution (bias %j) and BatchNormalization are one convolution with the same gradients",
  (bias) => {
    const plan = planOf([convolution(bias), norm]);
    const folded = foldBatchNormalization(plan, "y");
    expect(folded).toHaveLength(1);
    const [wanted, got] = [differentiate(plan), differentiate(folded)];
    wanted.forEach((values, i) => {
      const norm2 = Math.hypot(...values);
      expect(norm2).toBeGreaterThan(1e-3);
      expect(Math.hypot(...values.map((v, k) => v - got[i]![k]!)) / norm2).toBeLessThan(1e-5);
    });
  },
);

test("a convolution that somebody else reads, or that is the logits, stays", () => {
  expect(foldBatchNormalization(planOf([convolution([]), norm]), "z")).toHaveLength(2);
  const relu = node("Relu", ["z"], ["r"]);
  expect(foldBatchNormalization(planOf([convolution([]), norm, relu]), "y")).toHaveLength(3);
});
