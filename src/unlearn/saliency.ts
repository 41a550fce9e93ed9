import type { TensorSpec } from "../../converters/compile/step.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import { tf } from "../../converters/tf.ts";
import type { Dataset } from "../data/types.ts";
import type { Engine } from "../engine/engine.ts";
import { ownTargetsOf } from "./batches.ts";
import { type InputShape, inputSpecs } from "./inputs.ts";
import { losses, sideLoss } from "./objectives.ts";
import type { LossName } from "./types.ts";

/**
 * Saliency mask of SalUn (Fan et al., ICLR 2024, equation 3): 1 where |∇_θ L_f(θ₀)|, over the whole forget set and its own targets, is among the
 * largest `share` of all trained weights together; ties at the threshold are kept.
 * @returns one byte per weight, by parameter name
 */
export async function saliencyMasks(
  model: TrainableModel,
  forget: Dataset,
  share: number,
  lossName: LossName,
  engine: Engine,
  inputs: readonly InputShape[],
  rows: number,
  threads: number | undefined,
): Promise<Record<string, Uint8Array>> {
  const parameters = model.parameters.filter(({ trainable }) => trainable);
  const names = parameters.map(({ name }) => name);
  const targets = ownTargetsOf(forget);
  const loss = losses[lossName];
  const labels: TensorSpec =
    loss.targets === "class"
      ? { shape: [rows], dtype: "int32" }
      : { shape: [rows, targets.width], dtype: "float32" };
  const runner = await engine.prepare(
    (carry, batch) => {
      const { grads } = tf.valueAndGrads((...values: tf.Tensor[]) => {
        const logits = model.apply(
          Object.fromEntries(names.map((name, i) => [name, values[i]!])),
          Object.fromEntries(inputs.map(({ name }) => [name, batch[`x:${name}`]!])),
        );
        return sideLoss(loss.perSample(logits, batch.labels!), batch.valid!, tf.scalar(forget.count));
      })(names.map((name) => batch[`p:${name}`]!));
      return {
        carry: Object.fromEntries(names.map((name, i) => [name, tf.add(carry[name]!, grads[i]!)])),
        results: {},
      };
    },
    Object.fromEntries(
      parameters.map(({ name, dims, data }) => [
        name,
        { spec: { shape: dims, dtype: "float32" } as const, data: new Float32Array(data.length) },
      ]),
    ),
    {
      ...inputSpecs(inputs, rows),
      ...Object.fromEntries(
        parameters.map(({ name, dims }) => [`p:${name}`, { shape: dims, dtype: "float32" } as TensorSpec]),
      ),
      labels,
      valid: { shape: [rows], dtype: "float32" },
    },
    threads === undefined ? {} : { threads },
  );
  try {
    const fixed = Object.fromEntries(parameters.map(({ name, data }) => [`p:${name}`, data]));
    for (let at = 0; at < forget.count; at += rows) {
      const x = Object.fromEntries(
        inputs.map(({ name, size, dtype }) => [
          `x:${name}`,
          dtype === "int32" ? new Int32Array(rows * size) : new Float32Array(rows * size),
        ]),
      );
      const y = loss.targets === "class" ? new Int32Array(rows) : new Float32Array(rows * targets.width);
      const valid = new Float32Array(rows);
      for (let row = 0; row < rows; row++) {
        const i = at + row < forget.count ? at + row : at;
        valid[row] = at + row < forget.count ? 1 : 0;
        y.set(targets.data.subarray(i * targets.width, (i + 1) * targets.width), row * targets.width);
        for (const { name, size } of inputs)
          x[`x:${name}`]!.set(forget.inputs[name]!.data.subarray(i * size, (i + 1) * size), row * size);
      }
      await runner.run({ ...fixed, ...x, labels: y, valid });
    }
    const gradients = await runner.read();
    const all = Float32Array.from(
      { length: parameters.reduce((sum, { data }) => sum + data.length, 0) },
      () => 0,
    );
    let filled = 0;
    for (const name of names) {
      all.set((gradients[name] as Float32Array).map(Math.abs), filled);
      filled += gradients[name]!.length;
    }
    all.sort();
    const threshold = all[Math.max(0, all.length - Math.max(1, Math.round(share * all.length)))]!;
    return Object.fromEntries(
      names.map((name) => [
        name,
        Uint8Array.from(gradients[name] as Float32Array, (g) => Number(Math.abs(g) >= threshold)),
      ]),
    );
  } finally {
    await runner.dispose();
  }
}
