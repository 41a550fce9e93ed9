import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, expect, test } from "vitest";
import {
  adamw,
  clipByGlobalNorm,
  type Optimizer,
  type OptimizerState,
  sgd,
  type Weights,
} from "../../../src/unlearn/optimizer.ts";
import { epsilonAt, learningRateAt } from "../../../src/unlearn/schedule.ts";
import { dualAdam } from "../../../src/unlearn/surgery.ts";
import { readFixture } from "./harness.ts";

const table = readFixture<{
  readonly errors: readonly number[];
  readonly adam: readonly number[];
  readonly gradients: readonly (readonly number[])[];
  readonly start: readonly number[];
  readonly sgd: readonly (readonly number[])[];
  readonly adamw: readonly (readonly number[])[];
  readonly clipped: readonly (readonly number[])[];
}>("optimisers.json");

beforeAll(async () => {
  await tf.setBackend("cpu");
});

const close = (a: ArrayLike<number>, b: readonly number[], where: string) =>
  b.forEach((v, i) => {
    expect(Math.abs(a[i]! - v), where).toBeLessThanOrEqual(2e-5 * Math.max(1, Math.abs(v)));
  });

test("Adam on λ, with its decay of 0.01, moves as PyTorch's", () => {
  let state = Object.fromEntries(
    Object.entries(dualAdam.init(0.3)).map(([k, v]) => [k, tf.scalar(v) as tf.Tensor]),
  );
  table.errors.forEach((error, t) => {
    state = { ...dualAdam.update(state, tf.scalar(error), tf.scalar(1), 1) };
    close(state["lambda"]!.dataSync(), [table.adam[t]!], `step ${t}`);
  });
});

const follow = (optimizer: Optimizer, wanted: readonly (readonly number[])[], clip?: number) => {
  const zeros = () => ({ w: tf.zeros([4]) });
  let weights: Weights = { w: tf.tensor1d([...table.start]) };
  let state: OptimizerState = {
    slots: Object.fromEntries(optimizer.slots.map((slot) => [slot, zeros()])),
    scalars: Object.fromEntries(Object.entries(optimizer.scalars).map(([k, v]) => [k, tf.scalar(v)])),
  };
  table.gradients.forEach((row, t) => {
    const gradients = { w: tf.tensor1d([...row]) };
    const next = optimizer.update(
      clip === undefined ? gradients : clipByGlobalNorm(gradients, clip),
      state,
      weights,
      tf.scalar(0.1),
    );
    ({ weights, state } = next);
    close(weights["w"]!.dataSync(), wanted[t]!, `step ${t}`);
  });
};

test("SGD with momentum and decay moves as PyTorch's", () => follow(sgd(0.9, 0.01), table.sgd));
test("AdamW moves as PyTorch's", () => follow(adamw(0.01), table.adamw));
test("clipping clips: SGD under clip_grad_norm_ 0.5", () => {
  // The record is of gradients that are in fact longer.
  expect(Math.min(...table.gradients.map((g) => Math.hypot(...g)))).toBeGreaterThan(0.5);
  follow(sgd(0, 0), table.clipped, 0.5);
});

test("the learning rate rises over the warm-up, then stays or falls along half a cosine", () => {
  const rates = (schedule: "constant" | "cosine", warmup: number) =>
    Array.from({ length: 10 }, (_, t) => learningRateAt(1, { schedule, warmup }, t, 10));
  expect(rates("constant", 0)).toEqual(Array(10).fill(1));
  // Four rising steps: 1/5 … 4/5, then the full rate.
  expect(rates("constant", 0.4)).toEqual([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1]);
  const cosine = rates("cosine", 0);
  expect(cosine[0]).toBe(1);
  expect(cosine[5]).toBeCloseTo(0.5, 12);
  expect(cosine[9]).toBeCloseTo((1 + Math.cos(0.9 * Math.PI)) / 2, 12);
});

test("ε_t goes from ε to 0", () => {
  expect(epsilonAt(-0.4, "constant", 3, 4)).toBe(-0.4);
  expect([0, 1, 2, 3].map((t) => epsilonAt(-0.4, "linear", t, 4))).toEqual([-0.4, -0.4 * 0.75, -0.2, -0.1]);
  expect(epsilonAt(-0.4, "cosine", 2, 4)).toBeCloseTo(-0.2, 12);
});
