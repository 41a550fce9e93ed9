import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { Column } from "../tasks/task.ts";

/** [low, high] of a 95 % confidence interval. */
export type Interval = readonly [number, number];

const REPLICATES = 1000;
const TAIL = 0.025;

/** Quantile of sorted values at a share 0…1, interpolated linearly. */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const [a, b] = [sorted[low]!, sorted[Math.min(low + 1, sorted.length - 1)]!];
  return a + (at - low) * (b - a);
}

/**
 * 95 % percentile bootstrap interval of the mean of each column, from 1,000 resamples of the samples. All
 * columns of a call share the resamples, so the interval of a column of differences is a paired one.
 * undefined for a column whose mean is not finite.
 * @param columns all of one length N
 */
export function bootstrapMeans(columns: readonly Column[], seed: number): readonly (Interval | undefined)[] {
  const count = columns[0]?.length ?? 0;
  if (count === 0) return columns.map(() => undefined);
  const means = columns.map(() => new Float64Array(REPLICATES));
  const random = xoroshiro128plus(seed);
  const times = new Uint16Array(count);
  for (let r = 0; r < REPLICATES; r++) {
    times.fill(0);
    for (let k = 0; k < count; k++) times[Math.floor(((random.next() >>> 0) / 2 ** 32) * count)]!++;
    for (const [c, column] of columns.entries()) {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += times[i]! * column[i]!;
      means[c]![r] = sum / count;
    }
  }
  return means.map((values) => {
    if (!values.every(Number.isFinite)) return undefined;
    values.sort();
    return [quantile(values, TAIL), quantile(values, 1 - TAIL)];
  });
}
