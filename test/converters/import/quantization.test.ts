// Registers the gradients of all tfjs kernels.
import "@tensorflow/tfjs-layers";
import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import * as ort from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { compileStep } from "../../../converters/compile/compile.ts";
import {
  DequantizeLinear,
  DynamicQuantizeLinear,
  QuantizeLinear,
} from "../../../converters/import/ops/quantization.ts";
import { host } from "../../../converters/import/value.ts";

const context = {
  node: { name: "q", opType: "QuantizeLinear", domain: "", inputs: [], outputs: [], attributes: {} },
  opset: 21,
  where: 'QuantizeLinear "q"',
};
const x = [-70, -0.4, 0.3, 1.2, 50, 63.4, 200, -200];
const cotangent = [1, 2, 3, 4, 5, 6, 7, 8];

/** d/dx Σ c·f(x) on `cpu` and compiled. */
async function gradients(
  f: (x: tf.Tensor) => tf.Tensor,
  shape: readonly number[],
  values: readonly number[] = x,
): Promise<number[][]> {
  const step = (input: tf.Tensor) =>
    tf.grad((value: tf.Tensor) => tf.sum(tf.mul(f(value), tf.tensor(cotangent, [...shape]))))(input);
  tf.setBackend("cpu");
  const eager = Array.from(tf.tidy(() => step(tf.tensor([...values], [...shape])).dataSync()));
  const compiled = compileStep((_, batch) => ({ carry: {}, results: { g: step(tf.keep(batch["x"]!)) } }), {
    carry: {},
    batch: { x: { shape, dtype: "float32" } },
  });
  const session = await ort.InferenceSession.create(compiled.bytes, { logSeverityLevel: 3 });
  const run = await session.run({
    [compiled.inputs.batch["x"]!]: new ort.Tensor("float32", Float32Array.from(values), shape),
  });
  const traced = Array.from(run[compiled.outputs.results["g"]!]!.data as Float32Array);
  await session.release();
  return [eager, traced];
}

describe("the straight-through gradient of quantise and dequantise is the identity inside the range and zero outside", () => {
  test("int8, one scale: codes from −128 to 127 with scale ½ and zero point 3 hold −65.5 … 62", async () => {
    const [scale, zero] = [host("float32", [], [0.5]), host("int8", [], [3])];
    const wanted = cotangent.map((c, i) => (x[i]! >= -65.5 && x[i]! <= 62 ? c : 0));
    for (const got of await gradients(
      (t) => DequantizeLinear([QuantizeLinear([t, scale, zero], {}, context), scale, zero], {}) as tf.Tensor,
      [8],
    ))
      expect(got).toEqual(wanted);
  });

  test("uint8, one scale per row: row 0 holds 0 … 255, row 1 holds 0 … 25.5", async () => {
    const [scale, zero] = [host("float32", [2], [1, 0.1]), host("uint8", [2], [0, 0])];
    // −0.4 rounds to code 0, which is inside; 0.3 and 1.2 too. In row 1 only values below 0 and above 25.5
    // occur.
    const wanted = [0, 2, 3, 4, 0, 0, 0, 0];
    for (const got of await gradients(
      (t) =>
        DequantizeLinear([QuantizeLinear([t, scale, zero], { axis: 0 }, context), scale, zero], {
          axis: 0,
        }) as tf.Tensor,
      [2, 4],
    ))
      expect(got).toEqual(wanted);
  });

  test("dynamic quantisation covers the whole range of x, so its gradient is the identity", async () => {
    // The range −51 … 204 has scale 1 and zero point 51.
    const values = [-51, 204, 0.4, 7.7, -3.2, 100, 0, 12];
    const twice = (t: tf.Tensor) => {
      const [codes, scale, zero] = DynamicQuantizeLinear([t]) as [tf.Tensor, tf.Tensor, tf.Tensor];
      return DequantizeLinear([codes, scale, zero], {}) as tf.Tensor;
    };
    for (const got of await gradients(twice, [8], values)) expect(got).toEqual(cotangent);
  });
});

test("a zero point that hangs on the data, and float8 codes, are refused with the node's name", () => {
  tf.setBackend("cpu");
  const scale = host("float32", [], [1]);
  expect(() => QuantizeLinear([tf.tensor(x), scale, tf.scalar(1, "int32")], {}, context)).toThrow(
    /QuantizeLinear "q".*y_zero_point/,
  );
  expect(() => QuantizeLinear([tf.tensor(x), scale, host("float8e4m3fn", [], [0])], {}, context)).toThrow(
    /QuantizeLinear "q".*float8e4m3fn/,
  );
});
