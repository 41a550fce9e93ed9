import { badInput } from "../../converters/errors.ts";
import { loadDataset, NO_PREPROCESSING, type Preprocessing } from "../data/dataset.ts";
import { readNpz } from "../data/npz.ts";
import { type FileInterface, predict } from "../evaluate/predict.ts";
import type { Golden } from "./judge.ts";

/**
 * Runs AFTER on golden samples and compares its outputs with those the file holds under the output's name,
 * else with BEFORE's.
 * @throws badInput GOLDEN_SHAPE where the recorded outputs do not fit
 */
export async function measureGolden(
  samples: string,
  files: { readonly before: string; readonly after: string },
  models: { readonly before: FileInterface; readonly after: FileInterface },
  { preprocessing = NO_PREPROCESSING, threads }: { preprocessing?: Preprocessing; threads?: number },
): Promise<Golden> {
  const set = loadDataset(samples, models.before.inputs, preprocessing, "any");
  const { raw } = await predict(files.after, set, { ...models.after, threads });
  const name = models.before.head.output;
  const recorded = readNpz(samples).get(name);
  const wanted = recorded?.data ?? (await predict(files.before, set, { ...models.before, threads })).raw;
  if (wanted.length !== raw.length)
    throw badInput(
      "GOLDEN_SHAPE",
      `${samples}: ${recorded ? `array "${name}" holds` : "BEFORE gives"} ${wanted.length} outputs, AFTER gives ${raw.length}; record the outputs of this model.`,
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
