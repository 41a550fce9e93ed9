import { elementCount } from "../../converters/dims.ts";
import { tf } from "../../converters/tf.ts";
import { createBatcher, everySample, inMemory } from "../data/batcher.ts";
import type { Dataset } from "../data/types.ts";
import { concatenated } from "../tasks/numbers.ts";
import { truthSpec } from "../tasks/truth.ts";
import type { Feeding } from "./forward.ts";
import { inputColumns, inputSpecs } from "./inputs.ts";
import { specsOf, trainableOf } from "./model.ts";
import { sideLoss } from "./objectives.ts";
import { inputKeys, mapValues, type Named, weightKeys } from "./state.ts";

/**
 * Saliency masks of SalUn (Fan et al., ICLR 2024, https://arxiv.org/abs/2310.12508, equation 3): 1 for
 * weights whose |∇_θ L_f(θ₀)|, over the whole forget set with its own truth, is among the largest `share` of
 * all trained weights, ties at the threshold included.
 * @returns one byte per element, by parameter name
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
  const weightSpecs = specsOf(parameters);
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
    mapValues(weightSpecs, (spec) => ({ spec, data: new Float32Array(elementCount(spec.shape)) })),
    { ...columns, ...weightKeys.flat(weightSpecs), valid: { shape: [rows], dtype: "float32" } },
    { threads },
  );
  try {
    const fixed = weightKeys.flat(Object.fromEntries(parameters.map(({ name, data }) => [name, data])));
    const batcher = createBatcher({ columns, masks: ["valid"], rows, padding: "first row" });
    const source = inMemory({ ...inputColumns(inputs, forget), labels: truth });
    for await (const { arrays } of batcher.walk(source, everySample(forget.count), "valid"))
      await runner.run({ ...fixed, ...arrays });
    const sizes = mapValues((await runner.read()) as Named<Float32Array>, (g) => g.map(Math.abs));
    const all = concatenated(Object.values(sizes)).sort();
    const threshold = all[Math.max(0, all.length - Math.max(1, Math.round(share * all.length)))]!;
    return mapValues(sizes, (values) => Uint8Array.from(values, (size) => Number(size >= threshold)));
  } finally {
    await runner.dispose();
  }
}
