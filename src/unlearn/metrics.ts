import type { Dataset } from "../data/types.ts";
import { mean } from "../tasks/numbers.ts";
import type { Columns } from "../tasks/task.ts";
import { truthRows } from "../tasks/truth.ts";

/** How a model does on a set. What the task does not define is NaN. */
export interface Measure {
  /** Share that is right (of all labels, for multi-label sets). */
  readonly accuracy: number;
  /** Mean loss in nats (squared error for a regression). */
  readonly loss: number;
  /** Per sample: share of its labels that is right. */
  readonly right: Float64Array;
  /** Per sample. */
  readonly losses: Float64Array;
}

export function measureOf({ accuracy, loss, broken }: Columns): Measure {
  const unknown = broken.map(() => Number.NaN);
  const [right, losses] = [accuracy ?? unknown, loss ?? unknown];
  return { accuracy: mean(right), loss: mean(losses), right, losses };
}

/** Measures logits [N, C] of a set, or of the chosen samples of it, against their truth. */
export const measure = (raw: Float32Array, { task, truth, count }: Dataset, samples?: Int32Array): Measure =>
  measureOf(
    samples
      ? task.measure({ count: samples.length, raw, kind: "logits" }, truthRows(truth, samples))
      : task.measure({ count, raw, kind: "logits" }, truth),
  );
