// Registers the gradients of all tfjs kernels.
import "@tensorflow/tfjs-layers";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TensorSpec } from "../../../converters/compile/step.ts";
import type { EngineName, NumberArray } from "../../../src/engine/engine.ts";
import { getEngine } from "../../../src/engine/index.ts";
import { methods } from "../../../src/unlearn/methods/index.ts";
import type { MethodContext } from "../../../src/unlearn/methods/method.ts";
import { optimizerOf } from "../../../src/unlearn/optimizer.ts";
import type { Method } from "../../../src/unlearn/types.ts";

export const fixtures = join(import.meta.dirname, "fixtures");
export const readFixture = <T>(name: string): T =>
  JSON.parse(readFileSync(join(fixtures, name), "utf8")) as T;

export interface Given {
  readonly method: Method;
  readonly context: MethodContext;
  readonly weights: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly data: Float32Array }>
  >;
  /** Specs of the batch without the scalars every step has. */
  readonly batch: Readonly<Record<string, TensorSpec>>;
  readonly engine?: EngineName;
}

/** One method's step made ready, its carry as `train` makes it. */
export async function prepareStep({ method, context, weights, batch, engine = "cpu" }: Given) {
  const carry: Record<string, { spec: TensorSpec; data: NumberArray }> = {};
  const optimizer = optimizerOf(context.options);
  for (const [name, { shape, data }] of Object.entries(weights)) {
    const spec = { shape, dtype: "float32" } as const;
    carry[`p:${name}`] = { spec, data };
    for (const slot of optimizer.slots)
      carry[`${slot}:${name}`] = { spec, data: new Float32Array(data.length) };
  }
  const scalar = { shape: [], dtype: "float32" } as const;
  for (const [prefix, scalars] of [
    ["optimizer", optimizer.scalars],
    ["dual", methods[method].dual(context.options)],
  ] as const)
    for (const [name, value] of Object.entries(scalars))
      carry[`${prefix}:${name}`] = { spec: scalar, data: Float32Array.of(value) };
  return (await getEngine(engine)).prepare(
    methods[method].step(context),
    carry,
    { ...batch, lr: scalar, epsilon: scalar, progress: scalar },
    { threads: 1 },
  );
}

/** A batch's scalars. */
export const scalarsOf = (lr: number, epsilon: number, progress = 0) => ({
  lr: Float32Array.of(lr),
  epsilon: Float32Array.of(epsilon),
  progress: Float32Array.of(progress),
});

/** mulberry32, −1…1: test inputs only. */
export function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2147483648 - 1;
  };
}

/** ‖a − b‖ / ‖b‖ */
export function relativeDistance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const values = Array.from(b);
  return Math.hypot(...values.map((v, i) => v - a[i]!)) / Math.hypot(...values);
}
