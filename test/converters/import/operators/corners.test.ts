// Registers the gradients of all tfjs kernels.
import "@tensorflow/tfjs-layers";
import * as tf from "@tensorflow/tfjs-core";
import * as ort from "onnxruntime-node";
import { expect, test } from "vitest";
import { compileStep } from "../../../../converters/compile/compile.ts";
import { describeNode, getOperator } from "../../../../converters/import/registry.ts";
import { runNode } from "../../../../converters/import/run.ts";
import { host, toTensor, type Value } from "../../../../converters/import/value.ts";
import type { AttributeValue, OnnxNode } from "../../../../converters/onnx/model.ts";
import { eagerBackends } from "./harness.ts";

/**
 * At a corner of an operator difference quotients say nothing: the gradient there is a choice, listed here.
 */
interface Corner {
  readonly op: string;
  readonly x: readonly number[];
  /** Gradient of the sum of the first output. */
  readonly gradient: readonly number[];
  readonly why: string;
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  readonly more?: readonly Value[];
}
const INFINITY = Number.POSITIVE_INFINITY;
const all = { keepdims: 0 };

const CORNERS: readonly Corner[] = [
  { op: "Abs", x: [0, 2, -2], gradient: [0, 1, -1], why: "the middle of −1 and 1" },
  { op: "ReduceL1", attributes: all, x: [0, 2, -2], gradient: [0, 1, -1], why: "as Abs" },
  { op: "ReduceL2", attributes: all, x: [0, 0], gradient: [0, 0], why: "a root's own would be infinite" },
  { op: "LpNormalization", x: [0, 0], gradient: [1, 1], why: "zeros stay zeros: divided by 1" },
  { op: "Relu", x: [0, 1], gradient: [0, 1], why: "as PyTorch" },
  { op: "LeakyRelu", attributes: { alpha: 0.25 }, x: [0, 1], gradient: [0.25, 1], why: "as PyTorch" },
  {
    op: "Clip",
    more: [host("float32", [], [-1]), host("float32", [], [1])],
    x: [-1, 1, -2, 2, INFINITY],
    gradient: [0, 0, 0, 0, 0],
    why: "the bounds themselves are outside, as in PyTorch's hardtanh",
  },
  { op: "ReduceMax", attributes: all, x: [3, 1, 3], gradient: [0.5, 0, 0.5], why: "equals share" },
  { op: "ReduceMin", attributes: all, x: [3, 1, 1], gradient: [0, 0.5, 0.5], why: "equals share" },
  { op: "ReduceProd", attributes: all, x: [0, 2, 3], gradient: [6, 0, 0], why: "no division by a zero" },
  { op: "ReduceProd", attributes: all, x: [0, 0, 3], gradient: [0, 0, 0], why: "two zeros" },
  {
    op: "Max",
    more: [host("float32", [], [1])],
    x: [1, 2, 0],
    gradient: [1, 1, 0],
    why: "the first of equals",
  },
  {
    op: "Softmax",
    x: [-INFINITY, -INFINITY, 1],
    gradient: [0, 0, 0],
    why: "what is forbidden has no share",
  },
  {
    op: "ReduceLogSumExp",
    attributes: all,
    x: [-INFINITY, 1],
    gradient: [0, 1],
    why: "what is forbidden has no share",
  },
];

test.each(CORNERS)("$op at $x: $why", async ({ op, x, gradient, attributes = {}, more = [] }) => {
  const node: OnnxNode = {
    name: op,
    opType: op,
    domain: "",
    inputs: ["x", ...more.map((_, i) => `m${i}`)],
    outputs: ["y"],
    attributes,
  };
  const planned = { node, opset: 17, where: describeNode(node, 17), run: getOperator(node, 17) };
  const f = (v: tf.Tensor) => {
    const values = new Map<string, Value>([["x", v], ...more.map((m, i) => [`m${i}`, m] as const)]);
    return tf.sum(toTensor(runNode(planned, values)[0]!)) as tf.Scalar;
  };
  // −0 and 0 are one number.
  const numbers = (values: ArrayLike<number>) => Array.from(values, (v) => v + 0);
  for (const backend of eagerBackends) {
    tf.setBackend(backend);
    const eager = tf.tidy(() => tf.grad(f)(tf.tensor1d([...x])));
    expect(numbers(eager.dataSync()), backend).toEqual(gradient);
  }

  const compiled = compileStep(
    (_, batch) => ({ carry: {}, results: { g: tf.grad(f)(tf.keep(batch["x"]!)) } }),
    { carry: {}, batch: { x: { shape: [x.length], dtype: "float32" } } },
  );
  const session = await ort.InferenceSession.create(compiled.bytes, { logSeverityLevel: 3 });
  const feeds = {
    [compiled.inputs.batch["x"]!]: new ort.Tensor("float32", Float32Array.from(x), [x.length]),
  };
  const result = await session.run(feeds);
  const data = result[compiled.outputs.results["g"]!]!.data as Float32Array;
  expect(numbers(data), "compiled").toEqual(gradient);
  await session.release();
});
