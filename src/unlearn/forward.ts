import { createBatcher, everySample, inMemory } from "../data/batcher.ts";
import type { Dataset } from "../data/types.ts";
import type { Engine } from "../engine/engine.ts";
import { type InputShape, inputColumns, inputSpecs } from "./inputs.ts";
import { specsOf, type TrainableGraph, trainableOf } from "./model.ts";
import { inputKeys, weightKeys } from "./state.ts";

/** Weights by parameter name. */
export type WeightArrays = Readonly<Record<string, Float32Array>>;

/** A model on an engine, with batches of `rows` samples. */
export interface Feeding {
  readonly model: TrainableGraph;
  readonly engine: Engine;
  readonly inputs: readonly InputShape[];
  readonly rows: number;
  readonly threads?: number | undefined;
}

/** The model's forward pass, compiled once, for any weights and sets. */
export interface Forward {
  /** Logits [N, C] of the chosen samples (all of them by default), row-major. */
  logits(weights: WeightArrays, set: Dataset, samples?: Int32Array): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/**
 * Compiles the forward pass. Weights are part of the batch, not of the carry, so that each call can set them.
 */
export async function prepareForward({ model, engine, inputs, rows, threads }: Feeding): Promise<Forward> {
  const columns = inputSpecs(inputs, rows);
  const runner = await engine.prepare(
    (carry, batch) => ({
      carry,
      results: { logits: model.apply(weightKeys.read(batch), inputKeys.read(batch)) },
    }),
    {},
    { ...columns, ...weightKeys.flat(specsOf(trainableOf(model))) },
    { threads },
  );
  const batcher = createBatcher({ columns, rows, padding: "first row" });
  return {
    async logits(weights, set, samples = everySample(set.count)) {
      const fixed = weightKeys.flat(weights);
      let out = new Float32Array(0);
      for await (const batch of batcher.walk(inMemory(inputColumns(inputs, set)), samples)) {
        const { logits } = await runner.run({ ...fixed, ...batch.arrays });
        const width = logits!.length / rows;
        if (out.length === 0) out = new Float32Array(samples.length * width);
        out.set((logits as Float32Array).subarray(0, batch.count * width), batch.from * width);
      }
      return out;
    },
    dispose: () => runner.dispose(),
  };
}
