import { elementCount } from "../../converters/dims.ts";
import type { NumberArray } from "../../src/engine/engine.ts";
import { ofClasses } from "../../src/tasks/classification.ts";
import { drawing, mixedBatches, retainedIn, samplesOf } from "../../src/unlearn/batches.ts";

/** Share of the samples that are to be forgotten. */
export const FORGOTTEN = 0.3;
/** Full batches of the simulated run. */
const BATCHES = 300;

/**
 * The most retained samples that a batch has when batches are drawn from both sets: more than the average.
 */
export function mostRetained(batch: number): number {
  const all = BATCHES * batch;
  const set = (count: number) => ({ path: "", ...ofClasses(new Int32Array(count)), inputs: {} });
  const forget = samplesOf(set(Math.floor(all * FORGOTTEN)), true);
  const retain = samplesOf(set(all - forget.length), false);
  const batches = mixedBatches(forget, retain, batch, drawing(0)()).epoch(0);
  return Math.max(...batches.map(retainedIn));
}

/** Samples and labels by a formula that a peer in any language can repeat: no file has to travel. */
export function syntheticBatch(
  batch: number,
  sample: readonly number[],
  classes: number,
): Record<string, NumberArray> {
  const size = elementCount(sample);
  const forgotten = Math.floor(batch * FORGOTTEN);
  return {
    "x:input": Float32Array.from({ length: batch * size }, (_, i) => ((i * 7919) % 1009) / 504.5 - 1),
    labels: Int32Array.from({ length: batch }, (_, i) => (i * 7) % classes),
    forgetMask: Float32Array.from({ length: batch }, (_, i) => Number(i >= batch - forgotten)),
    retainMask: Float32Array.from({ length: batch }, (_, i) => Number(i < batch - forgotten)),
    lr: Float32Array.of(1e-4),
    epsilon: Float32Array.of(-0.01),
    progress: Float32Array.of(0.5),
  };
}
