import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { expect, test } from "vitest";
import { compileStep } from "../../../converters/compile/compile.ts";
import type { TensorSpec } from "../../../converters/compile/step.ts";

const MEGABYTE = 2 ** 20;

/**
 * Runs a graph on inputs full of ones. Returns its only output, and the bytes of ONNX Runtime's arena as the
 * session reports them.
 */
function run(bytes: Uint8Array, shapes: Readonly<Record<string, readonly number[]>>) {
  const folder = mkdtempSync(join(tmpdir(), "onnx-unlearn-test-"));
  try {
    writeFileSync(join(folder, "step.onnx"), bytes);
    const script = `
      const ort = require(${JSON.stringify(createRequire(import.meta.url).resolve("onnxruntime-node"))});
      ort.env.logLevel = "verbose";
      (async () => {
        const options = { enableMemPattern: false, intraOpNumThreads: 1 };
        const session = await ort.InferenceSession.create(${JSON.stringify(join(folder, "step.onnx"))}, options);
        const feeds = Object.entries(${JSON.stringify(shapes)}).map(([name, dims]) => {
          const ones = new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(1);
          return [name, new ort.Tensor("float32", ones, dims)];
        });
        const [output] = Object.values(await session.run(Object.fromEntries(feeds)));
        console.log(JSON.stringify(Array.from(output.data)));
      })();`;
    const { stdout, stderr, status } = spawnSync(process.execPath, ["-e", script], {
      encoding: "utf8",
      maxBuffer: 64 * MEGABYTE,
    });
    expect(status, stderr.slice(-1000)).toBe(0);
    const totals = [...`${stdout}${stderr}`.matchAll(/Total allocated bytes: (\d+)/g)];
    return {
      output: JSON.parse(stdout.trim().split("\n").at(-1)!) as number[],
      bytes: Number(totals.at(-1)![1]),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test("the memory of a large value serves one of another shape before the next of its own", () => {
  const spec = (shape: number[]): TensorSpec => ({ shape, dtype: "float32" });
  // Four values of 4 MB, one after the other, in turn of two shapes.
  const batch = { u: spec([1024, 4]), v: spec([4, 1024]), w: spec([2048, 2]), z: spec([2, 512]) };
  const { bytes, inputs } = compileStep(
    (_, { u, v, w, z }) => {
      const tallest = (left: tf.Tensor, right: tf.Tensor, factor: tf.Tensor) => {
        const scaled = tf.reshape(tf.mul(tf.reshape(left, [-1]), factor), left.shape);
        return tf.max(tf.reshape(tf.matMul(scaled as tf.Tensor2D, right as tf.Tensor2D), [-1]));
      };
      let factor: tf.Tensor = tf.scalar(1);
      for (let i = 0; i < 2; i++) factor = tallest(w!, z!, tallest(u!, v!, factor));
      return { carry: {}, results: { factor } };
    },
    { carry: {}, batch },
  );
  const shapes = Object.entries(batch).map(([key, { shape }]) => [inputs.batch[key]!, shape]);
  const { output, bytes: taken } = run(bytes, Object.fromEntries(shapes));
  // Ones: 4 products make 4, then 2 products of 4 make 8, and so on.
  expect(output).toEqual([4 * 2 * 4 * 2]);
  expect(taken).toBeLessThan(8 * MEGABYTE);
});
