// Registers the gradients of all tfjs kernels.
import "@tensorflow/tfjs-layers";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TensorSpec } from "../../../converters/compile/step.ts";
import type { EngineName } from "../../../src/engine/engine.ts";
import { getEngine } from "../../../src/engine/index.ts";
import { objectiveOf } from "../../../src/unlearn/chosen.ts";
import { methods } from "../../../src/unlearn/methods/index.ts";
import { stateKeys } from "../../../src/unlearn/state.ts";
import { type StepContext, startState, wholeBatchStep } from "../../../src/unlearn/step.ts";
import type { Method } from "../../../src/unlearn/types.ts";

export const fixtures = join(import.meta.dirname, "fixtures");
export const readFixture = <T>(name: string): T =>
  JSON.parse(readFileSync(join(fixtures, name), "utf8")) as T;

/** A step's context but for what its method says. */
export type GivenContext = Omit<StepContext, "method" | "objective">;

export const contextFor = (method: Method, context: GivenContext): StepContext => ({
  ...context,
  method: methods[method],
  objective: objectiveOf(methods[method], context.options),
});

export interface Given {
  readonly method: Method;
  readonly context: GivenContext;
  readonly weights: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly data: Float32Array }>
  >;
  /** Specs of the batch without the scalars every step has. */
  readonly batch: Readonly<Record<string, TensorSpec>>;
  readonly engine?: EngineName;
}

/** One method's step made ready, its carry as `train` makes it. */
export async function prepareStep({ method, context, weights, batch, engine = "cpu" }: Given) {
  const parameters = Object.entries(weights).map(([name, { shape, data }]) => ({ name, dims: shape, data }));
  const scalar = { shape: [], dtype: "float32" } as const;
  return (await getEngine(engine)).prepare(
    wholeBatchStep(contextFor(method, context)),
    stateKeys.flat(startState(methods[method], context.options, parameters)),
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
