import type { TensorSpec } from "../../converters/compile/step.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import { tf } from "../../converters/tf.ts";
import type { Dataset } from "../data/types.ts";
import type { Engine } from "../engine/engine.ts";
import { rowsOf, truthRows, truthSpec } from "../tasks/truth.ts";
import { type InputShape, inputSpecs } from "./inputs.ts";
import { sideLoss } from "./objectives.ts";

/**
 * Saliency mask of SalUn (Fan et al., ICLR 2024, equation 3): 1 where |∇_θ L_f(θ₀)|, over the whole forget
 * set and its own truth, is among the largest `share` of all trained weights together; ties at the threshold
 * count.
 * @param rows samples of a batch
 * @returns one byte per weight, by parameter name
 */
export async function saliencyMasks(
  model: TrainableModel,
  forget: Dataset,
  {
    share,
    engine,
    inputs,
    rows,
    threads,
  }: {
    readonly share: number;
    readonly engine: Engine;
    readonly inputs: readonly InputShape[];
    readonly rows: number;
    readonly threads: number | undefined;
  },
): Promise<Record<string, Uint8Array>> {
  const parameters = model.parameters.filter(({ trainable }) => trainable);
  const names = parameters.map(({ name }) => name);
  const { task, truth } = forget;
  const runner = await engine.prepare(
    (carry, batch) => {
      const { grads } = tf.valueAndGrads((...values: tf.Tensor[]) => {
        const logits = model.apply(
          Object.fromEntries(names.map((name, i) => [name, values[i]!])),
          Object.fromEntries(inputs.map(({ name }) => [name, batch[`x:${name}`]!])),
        );
        return sideLoss(task.loss(logits, batch.labels!), batch.valid!, tf.scalar(forget.count));
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
      labels: truthSpec(truth, rows),
      valid: { shape: [rows], dtype: "float32" },
    },
    threads === undefined ? {} : { threads },
  );
  try {
    const fixed = Object.fromEntries(parameters.map(({ name, data }) => [`p:${name}`, data]));
    for (let at = 0; at < forget.count; at += rows) {
      const left = forget.count - at;
      // A part that is not full repeats its first sample, which does not count.
      const samples = Array.from({ length: rows }, (_, row) => (row < left ? at + row : at));
      const x = Object.fromEntries(
        inputs.map(({ name, size }) => [`x:${name}`, rowsOf(forget.inputs[name]!.data, size, samples)]),
      );
      const valid = Float32Array.from(samples, (_, row) => Number(row < left));
      await runner.run({ ...fixed, ...x, labels: truthRows(truth, samples).data, valid });
    }
    const gradients = await runner.read();
    const all = new Float32Array(parameters.reduce((sum, { data }) => sum + data.length, 0));
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
