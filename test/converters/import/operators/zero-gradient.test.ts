// Registers the gradients of all tfjs kernels.
import "@tensorflow/tfjs-layers";
import * as tf from "@tensorflow/tfjs-core";
import * as ort from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { compileStep } from "../../../../converters/compile/compile.ts";
import { describeNode, getOperator } from "../../../../converters/import/registry.ts";
import { runNode } from "../../../../converters/import/run.ts";
import { host, isHost, toTensor, type Value } from "../../../../converters/import/value.ts";
import type { AttributeValue, OnnxNode } from "../../../../converters/onnx/model.ts";
import { eagerBackends } from "./harness.ts";

type Attributes = Readonly<Record<string, AttributeValue>>;
const scalar = (value: number) => host("int64", [], [value]);
type Operator = readonly [string, Attributes?, Value[]?, number?];
/**
 * Operators with gradient zero on a float input that a weight may precede: op, attributes, further inputs,
 * opset.
 */
const OPERATORS: readonly Operator[] = [
  ["Floor"],
  ["Ceil"],
  ["Round"],
  ["Sign"],
  ["IsNaN"],
  ["IsInf", { detect_negative: 0 }, [], 20],
  ["Hardmax"],
  ["ArgMax", { axis: 1 }],
  ["ArgMin", { axis: 1, select_last_index: 1 }],
  ["Equal", {}, [host("float32", [], [0.5])]],
  ["Greater", {}, [host("float32", [], [0.5])]],
  ["GreaterOrEqual", {}, [host("float32", [], [0.5])]],
  ["Less", {}, [host("float32", [], [0.5])]],
  ["LessOrEqual", {}, [host("float32", [], [0.5])]],
  ["Shape"],
  ["Size"],
  ["EyeLike"],
  ["Cast", { to: 6 }],
  ["Cast", { to: 9 }],
];
/** What may follow: integers and booleans that pass through integer operators. */
const FOLLOWING: readonly Operator[] = [
  ["Div", {}, [scalar(2)]],
  ["Mul", {}, [scalar(3)]],
  ["Mod", {}, [scalar(3)]],
  ["Pow", {}, [scalar(2)]],
  ["BitwiseAnd", {}, [scalar(3)], 18],
  ["BitwiseNot", {}, [], 18],
  ["BitShift", { direction: "LEFT" }, [scalar(1)]],
  ["Max", {}, [scalar(1)]],
  ["ReduceMax"],
  ["ReduceProd"],
  ["CumSum", {}, [scalar(1)]],
  ["Clip", {}, [scalar(0), scalar(2)]],
  ["MatMul", {}, [host("int64", [3, 1], [1, 2, 3])]],
];

const apply = ([op, attributes = {}, more = [], opset = 17]: Operator, x: Value): Value => {
  const node: OnnxNode = {
    name: op,
    opType: op,
    domain: "",
    inputs: ["x", ...more.map((_, i) => `m${i}`)],
    outputs: ["y"],
    attributes,
  };
  const values = new Map<string, Value>([["x", x], ...more.map((m, i) => [`m${i}`, m] as const)]);
  return runNode(
    { node, run: getOperator(node, opset), opset, where: describeNode(node, opset) },
    values,
  )[0]!;
};
const asFloat = (y: Value) => tf.cast(toTensor(y), "float32");

const SLOPE = [0.5, -1, 2, 0.25, 3, -0.75];
const DATA = Float32Array.of(0.2, -1.7, 2.6, 1.4, -0.3, 3.1);
/** d/dx (Σ slope · x + Σ f(x)) */
const gradientOf = (x: tf.Tensor, f: (x: tf.Tensor) => tf.Tensor) =>
  tf.grad((v: tf.Tensor) => tf.add(tf.sum(tf.mul(v, tf.tensor2d(SLOPE, [2, 3]))), tf.sum(f(v))) as tf.Scalar)(
    x,
  );

async function check(f: (x: tf.Tensor) => tf.Tensor): Promise<void> {
  for (const backend of eagerBackends) {
    tf.setBackend(backend);
    const eager = tf.tidy(() => gradientOf(tf.tensor2d(DATA, [2, 3]), f));
    expect(Array.from(eager.dataSync()), backend).toEqual(SLOPE);
  }
  const compiled = compileStep((_, { x }) => ({ carry: {}, results: { g: gradientOf(tf.keep(x!), f) } }), {
    carry: {},
    batch: { x: { shape: [2, 3], dtype: "float32" } },
  });
  const session = await ort.InferenceSession.create(compiled.bytes, { logSeverityLevel: 3 });
  const input = compiled.inputs.batch["x"];
  const result = await session.run(input ? { [input]: new ort.Tensor("float32", DATA, [2, 3]) } : {});
  expect(Array.from(result[compiled.outputs.results["g"]!]!.data as Float32Array)).toEqual(SLOPE);
  await session.release();
}

describe("an operator whose gradient is zero by nature does not stop the rest", () => {
  test.each(OPERATORS)("%s %j", async (...operator) => {
    await check((x) => asFloat(apply(operator as unknown as Operator, x)));
  });
  test.each(FOLLOWING)("%s of integers", async (...operator) => {
    await check((x) => {
      const integers = apply(["Cast", { to: 6 }], x);
      expect(isHost(integers)).toBe(false);
      return asFloat(apply(operator as unknown as Operator, integers));
    });
  });
  test.each([["And"], ["Or"], ["Xor"]] as const)("%s of comparisons", async (op) => {
    await check((x) =>
      asFloat(apply([op, {}, [apply(["Less", {}, [scalar(1)]], x)]], apply(["Greater", {}, [scalar(0)]], x))),
    );
  });
});
