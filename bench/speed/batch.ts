import type { NumberArray } from "../../src/engine/engine.ts";

/** Samples and labels by a formula that a peer in any language can repeat: no file has to travel. */
export function syntheticBatch(
  batch: number,
  sample: readonly number[],
  classes: number,
): Record<string, NumberArray> {
  const size = sample.reduce((a, b) => a * b, 1);
  const forgotten = Math.floor(batch * 0.3);
  return {
    "x:input": Float32Array.from({ length: batch * size }, (_, i) => ((i * 7919) % 1009) / 504.5 - 1),
    labels: Int32Array.from({ length: batch }, (_, i) => (i * 7) % classes),
    forgetMask: Float32Array.from({ length: batch }, (_, i) => Number(i < forgotten)),
    retainMask: Float32Array.from({ length: batch }, (_, i) => Number(i >= forgotten)),
    lr: Float32Array.of(1e-4),
    epsilon: Float32Array.of(-0.01),
    progress: Float32Array.of(0.5),
  };
}
