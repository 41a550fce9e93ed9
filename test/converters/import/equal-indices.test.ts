import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import * as ort from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { compileStep } from "../../../converters/compile/compile.ts";
import {
  GatherElements,
  GatherND,
  ScatterElements,
  ScatterND,
} from "../../../converters/import/ops/indexing.ts";
import { Gather } from "../../../converters/import/ops/movement.ts";

const COUNT = 20_000;
const ROWS = 8;
const PLACE = 5;

// ONNX Runtime's ScatterND(add) loses updates if two threads add to one element; no lowering may use it.
const SUMS: Readonly<Record<string, (x: tf.Tensor, places: tf.Tensor) => tf.Tensor>> = {
  Gather: (x, places) => Gather([x, places], {}) as tf.Tensor,
  GatherElements: (x, places) => GatherElements([x, places], {}) as tf.Tensor,
  GatherND: (x, places) => GatherND([x, tf.reshape(places, [COUNT, 1])], {}) as tf.Tensor,
};

describe("equal indices lose nothing, on two threads either", () => {
  const run = async (f: (batch: Readonly<Record<string, tf.Tensor>>) => tf.Tensor) => {
    const { bytes, inputs, outputs } = compileStep((_, batch) => ({ carry: {}, results: { y: f(batch) } }), {
      carry: {},
      batch: { x: { shape: [ROWS], dtype: "float32" }, places: { shape: [COUNT], dtype: "int32" } },
    });
    const session = await ort.InferenceSession.create(bytes, { intraOpNumThreads: 2, logSeverityLevel: 3 });
    const feeds = {
      [inputs.batch["x"]!]: new ort.Tensor("float32", new Float32Array(ROWS), [ROWS]),
      [inputs.batch["places"]!]: new ort.Tensor("int32", new Int32Array(COUNT).fill(PLACE), [COUNT]),
    };
    const seen: number[][] = [];
    for (let i = 0; i < 10; i++)
      seen.push(Array.from((await session.run(feeds))[outputs.results["y"]!]!.data as Float32Array));
    await session.release();
    return seen;
  };
  const all = Array.from({ length: ROWS }, (_, i) => (i === PLACE ? COUNT : 0));

  test.each(Object.entries(SUMS))("the gradient of %s adds up every cotangent", async (_, take) => {
    const seen = await run(({ x, places }) =>
      tf.grad((v: tf.Tensor) => tf.sum(take(v, tf.keep(places!))))(tf.keep(x!)),
    );
    for (const gradient of seen) expect(gradient).toEqual(all);
  });

  test.each([
    [
      "ScatterElements",
      (x: tf.Tensor, places: tf.Tensor, u: tf.Tensor) =>
        ScatterElements([x, places, u], { reduction: "add" }),
    ],
    [
      "ScatterND",
      (x: tf.Tensor, places: tf.Tensor, u: tf.Tensor) =>
        ScatterND([x, tf.reshape(places, [COUNT, 1]), u], { reduction: "add" }),
    ],
  ] as const)("%s adds up every update", async (_, put) => {
    const seen = await run(({ x, places }) => put(x!, places!, tf.ones([COUNT])) as tf.Tensor);
    for (const sums of seen) expect(sums).toEqual(all);
  });
});
