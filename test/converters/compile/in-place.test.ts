import { expect, test } from "vitest";
import { compileStep } from "../../../converters/compile/compile.ts";
import type { EmittedNode } from "../../../converters/compile/graph-builder.ts";
import { overwritable } from "../../../converters/compile/in-place.ts";
import type { StepFunction, TensorSpec } from "../../../converters/compile/step.ts";
import { slice } from "../../../converters/kernels/movement.ts";
import { tf } from "../../../converters/tf.ts";
import { onnxruntimeEngine } from "../../../src/engine/onnxruntime.ts";

const node = (opType: string, inputs: string[], output: string): EmittedNode => ({
  opType,
  domain: "",
  inputs,
  outputs: [output],
  shapes: [[2]],
  dtypes: ["float32"],
  attributes: {},
});

const mayOverwrite = (nodes: readonly EmittedNode[], input: string, ...outputs: [string, ...string[]]) =>
  overwritable(nodes, new Set(outputs))(input, outputs[0]);

const update = [node("Mul", ["v", "momentum"], "a"), node("Add", ["a", "g"], "next")];

test("a velocity that only its own update reads may be overwritten, also where it is read through a view", () => {
  expect(mayOverwrite(update, "v", "next")).toBe(true);
  const row = [
    node("Reshape", ["v", "shape"], "row"),
    node("FusedConv", ["row", "momentum", "", "g"], "sum"),
    node("Reshape", ["sum", "dims"], "next"),
  ];
  expect(mayOverwrite(row, "v", "next")).toBe(true);
  expect(mayOverwrite(row, "v", "next", "row")).toBe(false);
});

test("a weight too, where its products come first and its update reads it element by element", () => {
  const step = [node("Gemm", ["w", "x", "b"], "y"), node("Mul", ["y", "lr"], "u")];
  expect(mayOverwrite([...step, node("Sub", ["w", "u"], "next")], "w", "next")).toBe(true);
  expect(mayOverwrite([...step, node("MatMul", ["w", "u"], "next")], "w", "next")).toBe(false);
  const back = node("MatMul", ["w", "y"], "elsewhere");
  expect(mayOverwrite([...step, back, node("Sub", ["w", "u"], "next")], "w", "next")).toBe(false);
});

test("a convolution reads by element what it adds to, not what it scales", () => {
  const added = [
    node("FusedConv", ["p", "decay", "", "g"], "u"),
    node("Reshape", ["p", "shape"], "row"),
    node("FusedConv", ["u", "rate", "", "row"], "next"),
  ];
  expect(mayOverwrite(added, "p", "next")).toBe(true);
  expect(
    mayOverwrite([...added.slice(0, 2), node("FusedConv", ["row", "rate", "", "u"], "next")], "p", "next"),
  ).toBe(false);
  expect(
    mayOverwrite([...added.slice(1, 2), node("FusedConv", ["p", "rate", "", "row"], "next")], "p", "next"),
  ).toBe(false);
});

test("not where a reader need not come first, looks at the memory itself, or nobody reads", () => {
  expect(mayOverwrite([...update, node("Mul", ["v", "v"], "elsewhere")], "v", "next")).toBe(false);
  const transposed = [node("Transpose", ["v"], "a"), node("Add", ["a", "g"], "next")];
  expect(mayOverwrite(transposed, "v", "next")).toBe(false);
  expect(mayOverwrite(update, "unread", "next")).toBe(false);
});

test("the beginning of a batch entry is an input of its own, not a copy", async () => {
  const spec = (...shape: number[]): TensorSpec => ({ shape, dtype: "float32" });
  const step: StepFunction = (_, { x, few }) => ({
    carry: {},
    results: {
      front: tf.sum(tf.slice(x!, 0, 40), 1),
      middle: tf.sum(tf.slice(x!, 10, 40), 1),
      narrow: tf.sum(tf.slice(x!, [0, 0], [64, 70]), 1),
      sparse: tf.sum(slice(x!, [0, 0], [32, 128], [2, 1]), 1),
      few: tf.neg(tf.slice(few!, 0, 2)),
    },
  });
  const batch = { x: spec(64, 128), few: spec(4) };
  const { leadingRows, nodeCounts } = compileStep(step, { carry: {}, batch }, { preallocated: true });
  expect(leadingRows).toMatchObject([{ key: "x", spec: spec(40, 128) }]);
  expect(nodeCounts["Slice"]).toBe(4);
  const x = Float32Array.from({ length: 64 * 128 }, (_, i) => ((i * 37) % 101) / 101);
  const runner = await onnxruntimeEngine().prepare(step, {}, batch);
  const { front, sparse } = await runner.run({ x, few: new Float32Array(4) });
  await runner.dispose();
  for (let row = 0; row < 40; row++) {
    const sum = x.subarray(row * 128, (row + 1) * 128).reduce((a, b) => a + b, 0);
    expect(front![row]).toBeCloseTo(sum, 4);
    if (row % 2 === 0) expect(sparse![row / 2]).toBeCloseTo(sum, 4);
  }
  expect(front).toHaveLength(40);
});
