import type { Dataset } from "../data/types.ts";
import { mean } from "../tasks/numbers.ts";
import type { Columns } from "../tasks/task.ts";
import { truthRows } from "../tasks/truth.ts";

/** Accuracy and loss of a model on a set; NaN where the task does not define one of them. */
export interface Measure {
  /** Share of samples that are right; of labels, where a sample has several. */
  readonly accuracy: number;
  /** Mean loss in nats (squared error for a regression). */
  readonly loss: number;
  /** Share of its labels that are right, per sample. */
  readonly right: Float64Array;
  /** Loss per sample. */
  readonly losses: Float64Array;
}

export function measureOf({ accuracy, loss, broken }: Columns): Measure {
  const unknown = broken.map(() => Number.NaN);
  const [right, losses] = [accuracy ?? unknown, loss ?? unknown];
  return { accuracy: mean(right), loss: mean(losses), right, losses };
}

/** Compares logits [N, C] of a set, or of the given samples of it, with their truth. */
export const measure = (raw: Float32Array, { task, truth, count }: Dataset, samples?: Int32Array): Measure =>
  measureOf(
    samples
      ? task.measure({ count: samples.length, raw, kind: "logits" }, truthRows(truth, samples))
      : task.measure({ count, raw, kind: "logits" }, truth),
  );
