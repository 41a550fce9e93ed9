import { badInput } from "../../converters/errors.ts";
import { pick } from "../data/dataset.ts";
import type { Dataset } from "../data/types.ts";
import { drawing, shuffle } from "./batches.ts";
import type { Goal } from "./types.ts";

/**
 * Splits a seeded random share of a set off for validation (docs/method.md, "Budgets"). The draw depends only
 * on the number of samples and the seed, so it is the same for every method.
 * @throws badInput TOO_FEW where nothing would be left to train on
 */
export function withhold(set: Dataset, share: number, seed: number) {
  const order = shuffle(
    Array.from({ length: set.count }, (_, i) => i),
    drawing(seed ^ 0x7a11da7e)(),
  );
  const count = Math.max(1, Math.round(share * set.count));
  if (count >= set.count)
    throw badInput(
      "TOO_FEW",
      `${set.path} has ${set.count} samples, too few to withhold some for validation; give validation data.`,
    );
  const ascending = (samples: number[]) => samples.sort((a, b) => a - b);
  return {
    withheld: pick(set, ascending(order.slice(0, count)), `${set.path} (withheld)`),
    train: pick(set, ascending(order.slice(count))),
  };
}

/** The default goal: `gone` if a class is in the forget set only, else `unseen`. */
export const goalOf = (forget: Dataset, retain: Dataset): Goal => {
  const retained = new Set(retain.truth.data);
  return forget.task.classes && forget.truth.data.some((label) => !retained.has(label)) ? "gone" : "unseen";
};
