import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
// Registers the gradients of all tfjs kernels.
import "@tensorflow/tfjs-layers";
import * as tf from "@tensorflow/tfjs-core";
import * as ort from "onnxruntime-node";
import { expect, test } from "vitest";
import { compileStep } from "../../../converters/compile/compile.ts";
import type { TensorSpec } from "../../../converters/compile/step.ts";

const LAYERS = 9;
const spec: TensorSpec = { shape: [64, 64], dtype: "float32" };
const names = Array.from({ length: LAYERS }, (_, i) => `w${i}`);

test("the gradients of the last layers are made first, though a second forward pass begins with the first", async () => {
  const { bytes, inputs, outputs, stop } = compileStep(
    (carry, { x }) => {
      const loss = (weights: readonly tf.Tensor[]) =>
        tf.sum(
          weights.reduce((y, w) => tf.tanh(tf.matMul(y as tf.Tensor2D, w as tf.Tensor2D)), x!),
        ) as tf.Scalar;
      const weights = names.map((name) => carry[name]!);
      const { grads } = tf.valueAndGrads((...w: tf.Tensor[]) => loss(w))(weights);
      const next = weights.map((w, i) => tf.sub(w, tf.mul(grads[i]!, 0.1)));
      return {
        carry: Object.fromEntries(names.map((name, i) => [name, next[i]!])),
        results: { after: loss(next) },
      };
    },
    { carry: Object.fromEntries(names.map((name) => [name, spec])), batch: { x: spec } },
    { preallocated: true },
  );
  const folder = mkdtempSync(join(tmpdir(), "onnx-unlearn-test-"));
  try {
    const session = await ort.InferenceSession.create(bytes, {
      enableProfiling: true,
      profileFilePrefix: join(folder, "step"),
      logSeverityLevel: 3,
    });
    const tensor = () => new ort.Tensor("float32", new Float32Array(64 * 64).fill(0.01), [64, 64]);
    const feeds = [...Object.values(inputs.carry), inputs.batch["x"]!].map((name) => [name, tensor()]);
    // The first output is no tensor: onnxruntime-node stops there, with everything computed.
    await expect(session.run(Object.fromEntries(feeds), [stop!, outputs.results["after"]!])).rejects.toThrow(
      /non tensor/i,
    );
    session.endProfiling();
    await session.release();
    const [file] = readdirSync(folder) as [string];
    const events = JSON.parse(readFileSync(join(folder, file), "utf8")) as readonly {
      name: string;
      ts: number;
    }[];
    const begun = names.map(
      (name) => events.find((event) => event.name.endsWith(` ${outputs.carry[name]!}_kernel_time`))!.ts,
    );
    expect(begun).toEqual([...begun].sort((a, b) => b - a));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
