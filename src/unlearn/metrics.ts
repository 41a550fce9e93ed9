import type { Dataset } from "../data/types.ts";
import { ownTargetsOf } from "./batches.ts";
import type { LossName } from "./types.ts";

/** How a model does on a set, on the samples' own targets. */
export interface Measure {
  /** Share that is right (of all labels, for multi-label sets); NaN for a regression. */
  readonly accuracy: number;
  /** Mean loss in nats (squared error for a regression). */
  readonly loss: number;
  /** Per sample: share of its labels that is right. */
  readonly right: Float64Array;
  /** Per sample. */
  readonly losses: Float64Array;
}

const softplus = (z: number) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
const mean = (values: Float64Array) => values.reduce((sum, v) => sum + v, 0) / values.length;

/**
 * Measures logits [N, C] against the own targets of a set (or of the chosen samples of it), in float64 on the host.
 * Cross-entropy with one logit: two classes, the unit stands for class 1.
 */
export function measure(logits: Float32Array, set: Dataset, loss: LossName, samples?: Int32Array): Measure {
  const count = samples?.length ?? set.count;
  const classes = logits.length / count;
  const targets = ownTargetsOf(set);
  const right = new Float64Array(count);
  const losses = new Float64Array(count);
  for (let k = 0; k < count; k++) {
    const i = samples ? samples[k]! : k;
    const row = logits.subarray(k * classes, (k + 1) * classes);
    if (loss === "cross-entropy") {
      const label = targets.data[i]!;
      if (classes === 1) {
        losses[k] = softplus(label === 1 ? -row[0]! : row[0]!);
        right[k] = Number(Number(row[0]! > 0) === label);
        continue;
      }
      const peak = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      losses[k] = Math.log(row.reduce((sum, z) => sum + Math.exp(z - peak), 0)) + peak - row[label]!;
      right[k] = Number(row.indexOf(peak) === label);
    } else {
      let [sum, hits] = [0, 0];
      for (let c = 0; c < classes; c++) {
        const [z, y] = [row[c]!, targets.data[i * targets.width + c]!];
        sum += loss === "mse" ? (z - y) ** 2 : softplus(z) - y * z;
        hits += Number(z > 0 === y > 0.5);
      }
      losses[k] = sum / classes;
      right[k] = loss === "mse" ? Number.NaN : hits / classes;
    }
  }
  return { accuracy: mean(right), loss: mean(losses), right, losses };
}
