import { badInput } from "../../converters/errors.ts";
import { pick } from "../data/dataset.ts";
import type { Dataset } from "../data/types.ts";
import { drawing, shuffle } from "./batches.ts";
import type { Goal } from "./types.ts";

/**
 * Takes a seeded share of a set out of training (docs/method.md, "Budgets"). The draw depends on nothing but
 * the number of samples and the seed, so every method trains without the same share.
 * @throws badInput TOO_FEW where nothing would be left on one side
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

/**
 * `gone` where a class stands in the forget set only; else the forget samples should look like data the model
 * never saw.
 */
export const goalOf = (forget: Dataset, retain: Dataset): Goal => {
  const retained = new Set(retain.truth.data);
  return forget.task.classes && forget.truth.data.some((label) => !retained.has(label)) ? "gone" : "unseen";
};
