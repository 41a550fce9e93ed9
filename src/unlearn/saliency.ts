import { tf } from "../../converters/tf.ts";
import { createBatcher, everySample, inMemory } from "../data/batcher.ts";
import type { Dataset } from "../data/types.ts";
import { truthSpec } from "../tasks/truth.ts";
import type { Feeding } from "./forward.ts";
import { inputColumns, inputSpecs } from "./inputs.ts";
import { trainableOf } from "./model.ts";
import { sideLoss } from "./objectives.ts";
import { inputKeys, weightKeys } from "./state.ts";

/**
 * Saliency mask of SalUn (Fan et al., ICLR 2024, https://arxiv.org/abs/2310.12508, equation 3): 1 where |∇_θ
 * L_f(θ₀)|, over the whole forget set and its own truth, is among the largest `share` of all trained
 * weights together, ties at the threshold too.
 * @returns one byte per weight, by parameter name
 */
export async function saliencyMasks({
  model,
  engine,
  inputs,
  rows,
  threads,
  forget,
  share,
}: Feeding & {
  readonly forget: Dataset;
  readonly share: number;
}): Promise<Record<string, Uint8Array>> {
  const parameters = trainableOf(model);
  const names = parameters.map(({ name }) => name);
  const { task, truth } = forget;
  const columns = { ...inputSpecs(inputs, rows), labels: truthSpec(truth, rows) };
  const weightSpecs = Object.fromEntries(
    parameters.map(({ name, dims }) => [name, { shape: dims, dtype: "float32" } as const]),
  );
  const runner = await engine.prepare(
    (carry, batch) => {
      const weights = weightKeys.read(batch);
      const { grads } = tf.valueAndGrads((...values: tf.Tensor[]) => {
        const logits = model.apply(
          Object.fromEntries(names.map((name, i) => [name, values[i]!])),
          inputKeys.read(batch),
        );
        return sideLoss(task.loss(logits, batch.labels!), batch.valid!, tf.scalar(forget.count));
      })(names.map((name) => weights[name]!));
      return {
        carry: Object.fromEntries(names.map((name, i) => [name, tf.add(carry[name]!, grads[i]!)])),
        results: {},
      };
    },
    Object.fromEntries(
      parameters.map(({ name, data }) => [
        name,
        { spec: weightSpecs[name]!, data: new Float32Array(data.length) },
      ]),
    ),
    { ...columns, ...weightKeys.flat(weightSpecs), valid: { shape: [rows], dtype: "float32" } },
    threads === undefined ? {} : { threads },
  );
  try {
    const fixed = weightKeys.flat(Object.fromEntries(parameters.map(({ name, data }) => [name, data])));
    const batcher = createBatcher({ columns, masks: ["valid"], rows, padding: "first row" });
    const source = inMemory({ ...inputColumns(inputs, forget), labels: truth });
    for await (const { arrays } of batcher.walk(source, everySample(forget.count), "valid"))
      await runner.run({ ...fixed, ...arrays });
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
