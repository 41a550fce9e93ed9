import * as tf from "@tensorflow/tfjs-core";
import * as ort from "onnxruntime-node";
import { expect, test } from "vitest";
import { compileStep } from "../../../converters/compile/compile.ts";
import { standardize } from "../../../converters/kernels/normalization.ts";

const run = async (
  f: (x: tf.Tensor, w: tf.Tensor, b: tf.Tensor) => Record<string, tf.Tensor>,
  shape: number[],
  given: readonly number[] = [1, 2, 3, 4],
) => {
  const specs = { x: shape, w: [2, 3], b: [3] };
  const graph = compileStep((_, { x, w, b }) => ({ carry: {}, results: f(x!, w!, b!) }), {
    carry: {},
    batch: Object.fromEntries(
      Object.entries(specs).map(([key, dims]) => [key, { shape: dims, dtype: "float32" }]),
    ),
  });
  const session = await ort.InferenceSession.create(graph.bytes, { logSeverityLevel: 3 });
  const data: Record<string, number[]> = { x: [...given], w: [1, 0, 2, 0, 1, 3], b: [10, 20, 30] };
  const out = await session.run(
    Object.fromEntries(
      Object.entries(specs).map(([key, dims]) => [
        graph.inputs.batch[key]!,
        new ort.Tensor("float32", Float32Array.from(data[key]!), dims),
      ]),
    ),
  );
  const values = (key: string) => Array.from(out[graph.outputs.results[key]!]!.data as Float32Array);
  return { graph, values };
};

// x w = [[1, 2, 8], [3, 4, 18]]
test("a product and its bias are one Gemm, with or without a Reshape between them", async () => {
  const plain = await run(
    (x, w, b) => ({ y: tf.add(tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D), b) }),
    [2, 2],
  );
  expect(plain.values("y")).toEqual([11, 22, 38, 13, 24, 48]);
  expect(plain.graph.nodeCounts).toEqual({ Gemm: 1 });
  const reshaped = await run(
    (x, w, b) => ({
      y: tf.add(b, tf.reshape(tf.matMul(tf.reshape(x, [2, 2]), w as tf.Tensor2D), [1, 2, 3])),
    }),
    [1, 2, 2],
  );
  expect(reshaped.values("y")).toEqual([11, 22, 38, 13, 24, 48]);
  expect(reshaped.graph.nodeCounts["Add"] ?? 0).toBe(0);
});

test("of many rows they stay apart", async () => {
  const rows = Array.from({ length: 512 }, () => [1, 2, 3, 4]).flat();
  const { graph, values } = await run(
    (x, w, b) => ({ y: tf.add(tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D), b) }),
    [1024, 2],
    rows,
  );
  expect(graph.nodeCounts).toEqual({ FusedMatMul: 1, Add: 1 });
  expect(values("y")).toEqual(Array.from({ length: 512 }, () => [11, 22, 38, 13, 24, 48]).flat());
});

test("not where the product itself is read, or the rows are cut differently", async () => {
  const read = await run(
    (x, w, b) => {
      const z = tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D);
      return { y: tf.add(z, b), z: tf.mul(z, 2) };
    },
    [2, 2],
  );
  expect(read.values("y")).toEqual([11, 22, 38, 13, 24, 48]);
  expect(read.values("z")).toEqual([2, 4, 16, 6, 8, 36]);
  const cut = await run(
    (x, w, b) => ({ y: tf.add(tf.reshape(tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D), [6, 1]), b) }),
    [2, 2],
  );
  expect(cut.values("y").slice(0, 6)).toEqual([11, 21, 31, 12, 22, 32]);
});

// Each row of 1, 3, 8 has mean 4 and variance 26/3; scale and shift are b's own numbers here.
test("a normalisation takes over its scale and shift, but not where its own values are read", async () => {
  const rows = [1, 3, 8].map((v) => (v - 4) / Math.sqrt(26 / 3));
  const normalised = (x: tf.Tensor) =>
    standardize(
      tf.add(tf.mul(tf.sum(x), 0), [
        [1, 3, 8],
        [1, 3, 8],
      ]),
      1,
      0,
    );
  const alone = await run((x, _, b) => ({ y: tf.add(tf.mul(normalised(x), b), b) }), [2, 2]);
  expect(alone.graph.nodeCounts["Add"]).toBe(1);
  const read = await run(
    (x, _, b) => {
      const n = normalised(x);
      return { y: tf.add(tf.mul(n, b), b), n };
    },
    [2, 2],
  );
  expect(read.graph.nodeCounts["Add"]).toBe(2);
  for (const { values } of [alone, read])
    values("y").forEach((y, i) => {
      expect(y).toBeCloseTo((rows[i % 3]! + 1) * 10 * ((i % 3) + 1), 4);
    });
});

test("over many rows the narrower matrix of AᵀB is the second one", async () => {
  const of = async (rows: number) => {
    const a = Array.from({ length: rows }, (_, i) => Math.sin(i));
    const b = Array.from({ length: 3 * rows }, (_, i) => Math.cos(i));
    const { graph, values } = await run(
      () => ({ y: tf.matMul(tf.tensor2d(a, [rows, 1]), tf.tensor2d(b, [rows, 3]), true) }),
      [2, 2],
    );
    values("y").forEach((y, j) => {
      expect(y).toBeCloseTo(
        a.reduce((sum, v, i) => sum + v * b[3 * i + j]!, 0),
        4,
      );
    });
    return graph.nodeCounts["Transpose"] ?? 0;
  };
  expect(await of(64)).toBe(1);
  expect(await of(8)).toBe(0);
});
