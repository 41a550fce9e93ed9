import * as tf from "@tensorflow/tfjs-core";
import { elementCount } from "../../../converters/dims.ts";
import "@tensorflow/tfjs-backend-cpu";
import * as ort from "onnxruntime-node";
import { expect, test } from "vitest";
import { compileStep } from "../../../converters/compile/compile.ts";
import { slice } from "../../../converters/kernels/movement.ts";

/** A rearrangement of numbers, compiled to this operator, against tfjs. */
async function rearranges(
  shape: readonly number[],
  turned: (t: tf.Tensor) => tf.Tensor,
  operator: string,
): Promise<void> {
  const x = Float32Array.from({ length: elementCount(shape) }, (_, i) => i);
  const graph = compileStep((__, batch) => ({ carry: {}, results: { y: tf.abs(turned(batch["x"]!)) } }), {
    carry: {},
    batch: { x: { shape, dtype: "float32" } },
  });
  expect(graph.nodeCounts[operator]).toBe(1);
  const session = await ort.InferenceSession.create(graph.bytes, { logSeverityLevel: 3 });
  const out = await session.run({ [graph.inputs.batch["x"]!]: new ort.Tensor("float32", x, shape) });
  await session.release();
  tf.setBackend("cpu");
  expect(out[graph.outputs.results["y"]!]!.data).toEqual(turned(tf.tensor(x, [...shape])).dataSync());
}

test.each([
  ["rows of the last axis", [1, 2, 0, 3], "Gather"],
  ["rows of the last two axes", [1, 0, 2, 3], "Gather"],
  ["single numbers", [0, 2, 3, 1], "Transpose"],
] as const)("%s stand where a transposition puts them", (_, perm, operator) =>
  rearranges([16, 24, 12, 16], (t) => tf.transpose(t, [...perm]), operator),
);

test.each([
  ["every second row and column", [1, 0, 2, 0], [63, 24, 5, 16], [2, 1, 2, 1], "Gather"],
  ["every second number", [0, 0, 0, 0], [128, 24, 12, 8], [1, 1, 1, 2], "Slice"],
] as const)("%s stand where a slice puts them", (_, begin, taken, stride, operator) =>
  rearranges([128, 24, 12, 16], (t) => slice(t, begin, taken, stride), operator),
);
