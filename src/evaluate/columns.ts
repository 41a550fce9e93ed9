import type { Column, Columns } from "../tasks/task.ts";
import type { Scored } from "./scored.ts";

/** Per-sample figures of one model on one set. */
export function columnsOf(set: Scored): Columns {
  const known = computed.get(set) ?? set.task.measure(set.outputs, set.truth);
  computed.set(set, known);
  return known;
}

/** Columns by set: several figures use the same ones, and computing them is slow on large sets. */
const computed = new WeakMap<Scored, Columns>();

const BINS = 15;

/**
 * Expected calibration error: Σ_b (n_b / N) |accuracy_b − mean confidence_b| over 15 equally wide bins of the
 * highest probability (Guo et al., On Calibration of Modern Neural Networks, ICML 2017).
 */
export function calibrationError(accuracy: Column, peak: Column): number {
  const [right, sure] = [new Float64Array(BINS), new Float64Array(BINS)];
  for (let i = 0; i < peak.length; i++) {
    if (Number.isNaN(peak[i]!)) return Number.NaN;
    // Bins are open on the left: ((b − 1)/15, b/15].
    const bin = Math.min(BINS - 1, Math.max(0, Math.ceil(peak[i]! * BINS) - 1));
    right[bin] = right[bin]! + accuracy[i]!;
    sure[bin] = sure[bin]! + peak[i]!;
  }
  return right.reduce((sum, r, b) => sum + Math.abs(r - sure[b]!), 0) / peak.length;
}
