import { badInput } from "../../converters/errors.ts";
import type { Preprocessing } from "../data/dataset.ts";
import { openSource } from "../data/open-source.ts";
import { readSet } from "../data/sets.ts";
import type { SetInput } from "../data/source.ts";
import { type FileInterface, predict, type RunOptions } from "../evaluate/predict.ts";
import type { Golden } from "./judge.ts";

/**
 * Runs AFTER on golden samples and compares its outputs with recorded ones, an array of the samples' file
 * that is named like the model's output; without such an array, with BEFORE's outputs.
 * @throws badInput GOLDEN_SHAPE where the recorded outputs have another size
 */
export async function measureGolden(
  input: SetInput,
  models: { readonly before: FileInterface; readonly after: FileInterface },
  { preprocessing, ...run }: RunOptions & { readonly preprocessing?: Preprocessing },
): Promise<Golden> {
  const samples = await openSource(input, "the golden samples");
  const set = await readSet(samples, models.before.inputs, { preprocessing, loss: "any" });
  const { raw } = await predict(models.after, set, run);
  const name = models.before.head.output;
  const recorded = (await samples.gather()).get(name);
  const wanted = recorded?.data ?? (await predict(models.before, set, run)).raw;
  if (wanted.length !== raw.length)
    throw badInput(
      "GOLDEN_SHAPE",
      `${samples.name}: ${recorded ? `array "${name}" holds` : "BEFORE gives"} ${wanted.length} outputs, AFTER gives ${raw.length}; record the outputs of this model.`,
    );
  let maxAbsDiff = 0;
  for (let i = 0; i < raw.length; i++) {
    const difference = Math.abs(raw[i]! - wanted[i]!);
    if (!(difference <= maxAbsDiff)) maxAbsDiff = difference;
  }
  return {
    maxAbsDiff: Number.isFinite(maxAbsDiff) ? maxAbsDiff : null,
    samples: set.count,
    against: recorded ? "recorded outputs" : "BEFORE",
  };
}
