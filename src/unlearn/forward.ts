import type { TensorSpec } from "../../converters/compile/step.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import type { Dataset } from "../data/types.ts";
import type { Engine, NumberArray } from "../engine/engine.ts";
import { type InputShape, inputSpecs } from "./inputs.ts";

/** Weights by parameter name. */
export type WeightArrays = Readonly<Record<string, Float32Array>>;

/** The model's forward pass, made ready once, for any weights and sets. */
export interface Forward {
  /** Logits [N, C] of the chosen samples (all of them by default), row-major. */
  logits(weights: WeightArrays, set: Dataset, samples?: Int32Array): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/** Weights go in with the batch: nothing is carried, so nothing is copied. */
export async function prepareForward(
  model: TrainableModel,
  engine: Engine,
  inputs: readonly InputShape[],
  rows: number,
  threads: number | undefined,
): Promise<Forward> {
  const parameters = model.parameters.filter(({ trainable }) => trainable);
  const batchSpecs: Record<string, TensorSpec> = {
    ...inputSpecs(inputs, rows),
    ...Object.fromEntries(
      parameters.map(({ name, dims }) => [`p:${name}`, { shape: dims, dtype: "float32" } as TensorSpec]),
    ),
  };
  const runner = await engine.prepare(
    (carry, batch) => ({
      carry,
      results: {
        logits: model.apply(
          Object.fromEntries(parameters.map(({ name }) => [name, batch[`p:${name}`]!])),
          Object.fromEntries(inputs.map(({ name }) => [name, batch[`x:${name}`]!])),
        ),
      },
    }),
    {},
    batchSpecs,
    threads === undefined ? {} : { threads },
  );
  const x = Object.fromEntries(
    inputs.map(({ name, size, dtype }) => [
      `x:${name}`,
      dtype === "int32" ? new Int32Array(rows * size) : new Float32Array(rows * size),
    ]),
  );
  return {
    async logits(weights, set, samples) {
      const count = samples?.length ?? set.count;
      const fixed: Record<string, NumberArray> = Object.fromEntries(
        parameters.map(({ name }) => [`p:${name}`, weights[name]!]),
      );
      let out = new Float32Array(0);
      for (let at = 0; at < count; at += rows) {
        for (let row = 0; row < rows; row++) {
          const place = at + row < count ? at + row : at;
          const i = samples ? samples[place]! : place;
          for (const { name, size } of inputs)
            x[`x:${name}`]!.set(set.inputs[name]!.data.subarray(i * size, (i + 1) * size), row * size);
        }
        const { logits } = await runner.run({ ...fixed, ...x });
        const width = logits!.length / rows;
        if (out.length === 0) out = new Float32Array(count * width);
        out.set((logits as Float32Array).subarray(0, Math.min(rows, count - at) * width), at * width);
      }
      return out;
    },
    dispose: () => runner.dispose(),
  };
}
