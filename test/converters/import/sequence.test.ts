// Registers the gradients of all tfjs kernels.
import "@tensorflow/tfjs-layers";
import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import pkg from "onnx-proto";
import * as ort from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { compileStep } from "../../../converters/compile/compile.ts";
import { describeNode, getOperator } from "../../../converters/import/registry.ts";
import { runNode } from "../../../converters/import/run.ts";
import { hostFromOnnx, toTensor, type Value } from "../../../converters/import/value.ts";
import { readModel } from "../../../converters/onnx/read.ts";

const { onnx } = pkg;
type Attribute = { readonly name: string; readonly type: number; readonly i?: number };
interface Step {
  readonly op: string;
  readonly inputs: string;
  readonly output: string;
  readonly attributes?: Readonly<Record<string, number>>;
}

// Sequences cannot be inputs or outputs of a case of their own, so the operators are tried in small graphs
// from x to y.
const GRAPHS: Readonly<Record<string, readonly Step[]>> = {
  "split into parts of two, one taken out, one put in, joined": [
    { op: "SplitToSequence", inputs: "x two", output: "parts", attributes: { axis: 1 } },
    { op: "SequenceAt", inputs: "parts minusOne", output: "last" },
    { op: "SequenceErase", inputs: "parts zero", output: "fewer" },
    { op: "SequenceInsert", inputs: "fewer last zero", output: "again" },
    { op: "ConcatFromSequence", inputs: "again", output: "y", attributes: { axis: 1 } },
  ],
  "split into given sizes, stacked after an insertion at the end": [
    { op: "SplitToSequence", inputs: "x sizes", output: "parts", attributes: { axis: -1 } },
    { op: "SequenceAt", inputs: "parts zero", output: "first" },
    { op: "SequenceConstruct", inputs: "first first", output: "pair" },
    { op: "SequenceInsert", inputs: "pair first", output: "three" },
    { op: "ConcatFromSequence", inputs: "three", output: "y", attributes: { axis: 0, new_axis: 1 } },
  ],
  "single slices without their axis": [
    { op: "SplitToSequence", inputs: "x", output: "parts", attributes: { axis: 0, keepdims: 0 } },
    { op: "SequenceErase", inputs: "parts", output: "fewer" },
    { op: "ConcatFromSequence", inputs: "fewer", output: "y", attributes: { axis: 0, new_axis: 1 } },
  ],
  "an empty sequence grows; its length scales": [
    { op: "SequenceEmpty", inputs: "", output: "none" },
    { op: "SequenceInsert", inputs: "none x", output: "one" },
    { op: "SequenceInsert", inputs: "one x zero", output: "both" },
    { op: "SequenceLength", inputs: "both", output: "length" },
    { op: "ConcatFromSequence", inputs: "both", output: "joined", attributes: { axis: 0 } },
    { op: "CastLike", inputs: "length x", output: "factor" },
    { op: "Mul", inputs: "joined factor", output: "y" },
  ],
  "an optional value that is there": [
    { op: "Optional", inputs: "x", output: "maybe" },
    { op: "OptionalHasElement", inputs: "maybe", output: "there" },
    { op: "OptionalGetElement", inputs: "maybe", output: "value" },
    { op: "CastLike", inputs: "there x", output: "factor" },
    { op: "Mul", inputs: "value factor", output: "y" },
  ],
};
const CONSTANTS: Readonly<Record<string, readonly number[]>> = {
  zero: [0],
  minusOne: [-1],
  two: [2],
  sizes: [1, 2, 2],
};
const SHAPE = [3, 5];
const X = Float32Array.from({ length: 15 }, (_, i) => Math.sin(i));

function modelOf(steps: readonly Step[]): Uint8Array {
  const used = new Set(steps.flatMap(({ inputs }) => inputs.split(" ")));
  const value = (name: string) => ({
    name,
    type: { tensorType: { elemType: 1, shape: { dim: SHAPE.map((d) => ({ dimValue: d })) } } },
  });
  return onnx.ModelProto.encode({
    irVersion: 8,
    opsetImport: [{ domain: "", version: 18 }],
    graph: {
      name: "sequence",
      node: steps.map(({ op, inputs, output, attributes = {} }) => ({
        opType: op,
        input: inputs.split(" ").filter(Boolean),
        output: [output],
        attribute: Object.entries(attributes).map(([name, i]): Attribute => ({ name, type: 2, i })),
      })),
      initializer: Object.entries(CONSTANTS)
        .filter(([name]) => used.has(name))
        .map(([name, values]) => ({
          name,
          dims: name === "sizes" ? [values.length] : [],
          dataType: 7,
          rawData: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
        })),
      input: [value("x")],
      output: [{ name: "y" }],
    },
  }).finish();
}

describe("sequences are taken apart and put together as in ONNX Runtime, with their gradient", () => {
  test.each(Object.entries(GRAPHS))("%s", async (_, steps) => {
    const bytes = modelOf(steps);
    const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
    const runtime = async (x: Float32Array) =>
      (await session.run({ x: new ort.Tensor("float32", x, SHAPE) }))["y"]!;
    const wanted = await runtime(X);
    const cotangent = Array.from({ length: wanted.size }, (_v, i) => Math.cos(i));

    const { graph } = readModel(bytes);
    const apply = (x: tf.Tensor): tf.Tensor => {
      const values = new Map<string, Value>([["x", x]]);
      for (const [name, tensor] of graph.initializers) values.set(name, hostFromOnnx(tensor));
      for (const node of graph.nodes) {
        const planned = { node, run: getOperator(node, 18), opset: 18, where: describeNode(node, 18) };
        values.set(node.outputs[0]!, runNode(planned, values)[0]!);
      }
      return toTensor(values.get("y")!);
    };
    const both = (x: tf.Tensor) => ({
      y: apply(x),
      g: tf.grad((v: tf.Tensor) => tf.sum(tf.mul(apply(v), tf.tensor(cotangent, [...wanted.dims]))))(x),
    });

    // y is linear in x: differences of ONNX Runtime's outputs are the gradient.
    const gradient = await Promise.all(
      Array.from(X, async (_v, k) => {
        const moved = (await runtime(X.map((v, i) => (i === k ? v + 1 : v)))).data as Float32Array;
        return moved.reduce((sum, v, i) => sum + (v - Number(wanted.data[i])) * cotangent[i]!, 0);
      }),
    );
    expect(Math.hypot(...gradient)).toBeGreaterThan(1);

    tf.setBackend("cpu");
    const eager = both(tf.tensor(X, SHAPE));
    const compiled = compileStep((_carry, batch) => ({ carry: {}, results: both(tf.keep(batch["x"]!)) }), {
      carry: {},
      batch: { x: { shape: SHAPE, dtype: "float32" } },
    });
    const traced = await ort.InferenceSession.create(compiled.bytes, { logSeverityLevel: 3 });
    const run = await traced.run({
      [compiled.inputs.batch["x"]!]: new ort.Tensor("float32", X, SHAPE),
    });
    for (const [y, g] of [
      [eager.y.dataSync(), eager.g.dataSync()],
      [run[compiled.outputs.results["y"]!]!.data, run[compiled.outputs.results["g"]!]!.data],
    ] as const) {
      expect(Array.from(y as Float32Array)).toEqual(Array.from(wanted.data as Float32Array));
      Array.from(g as Float32Array).forEach((value, i) => {
        expect(value).toBeCloseTo(gradient[i]!, 4);
      });
    }
    expect(eager.y.shape).toEqual([...wanted.dims]);
    await session.release();
    await traced.release();
  });
});
