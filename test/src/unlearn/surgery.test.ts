import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, test } from "vitest";
import { logLoss, sideLoss } from "../../../src/unlearn/objectives.ts";
import { dualAscent, explicitLambda } from "../../../src/unlearn/surgery.ts";
import type { Method } from "../../../src/unlearn/types.ts";
import { prepareStep, relativeDistance, scalarsOf, uniform } from "./harness.ts";

beforeAll(async () => {
  await tf.setBackend("cpu");
});

/**
 * A quadratic ½(θ − a)ᵀA(θ − a), A = BBᵀ, as the mean squared error of a linear model over k of the batch's n
 * rows: row i is √(n/2) times column i of B, its target the same row times a; then
 * (1/n) Σ (x_i·θ − x_i·a)² = ½ (θ − a)ᵀ (Σ b_i b_iᵀ) (θ − a).
 */
interface Quadratic {
  readonly A: readonly (readonly number[])[];
  readonly a: readonly number[];
  readonly rows: readonly (readonly number[])[];
}

const D = 4;
const dot = (p: readonly number[], q: readonly number[]) => p.reduce((sum, v, i) => sum + v * q[i]!, 0);

function quadratic(
  random: () => number,
  n: number,
  a = Array.from({ length: D }, () => 2 * random()),
): Quadratic {
  const columns = Array.from({ length: D }, () => Array.from({ length: D }, random));
  return {
    A: Array.from({ length: D }, (_, i) =>
      Array.from({ length: D }, (_, j) => columns.reduce((sum, b) => sum + b[i]! * b[j]!, 0)),
    ),
    a,
    rows: columns.map((b) => b.map((v) => v * Math.sqrt(n / 2))),
  };
}

/** Value and gradient in float64. */
function at({ A, a }: Quadratic, theta: readonly number[]) {
  const off = theta.map((t, i) => t - a[i]!);
  const gradient = A.map((row) => dot(row, off));
  return { value: dot(off, gradient) / 2, gradient };
}

/** One step of a method on two quadratics over the same θ. */
async function step(
  method: Method,
  forget: Quadratic,
  retain: Quadratic,
  theta: readonly number[],
  lr: number,
  epsilon: number,
) {
  const n = 2 * D;
  const vector = { shape: [n], dtype: "float32" } as const;
  const runner = await prepareStep({
    method,
    context: {
      apply: (weights, { x }) => tf.matMul(x as tf.Tensor2D, weights["theta"] as tf.Tensor2D),
      trainable: ["theta"],
      options: { dual: "ascent", beta: 1, momentum: 0, weightDecay: 0, loss: "mse" },
    },
    weights: { theta: { shape: [D, 1], data: Float32Array.from(theta) } },
    batch: {
      "x:x": { shape: [n, D], dtype: "float32" },
      labels: { shape: [n, 1], dtype: "float32" },
      forgetMask: vector,
      retainMask: vector,
    },
  });
  const rows = [...forget.rows, ...retain.rows];
  const side = Float32Array.from({ length: n }, (_, i) => Number(i < D));
  const out = await runner.run({
    "x:x": Float32Array.from(rows.flat()),
    labels: Float32Array.from(rows, (row, i) => dot(row, i < D ? forget.a : retain.a)),
    forgetMask: side,
    retainMask: side.map((v) => 1 - v),
    ...scalarsOf(lr, epsilon),
  });
  const next = Array.from((await runner.read())["p:theta"]!);
  await runner.dispose();
  return { next, lambda: out["lambda"]![0]!, d: theta.map((t, i) => (t - next[i]!) / lr) };
}

/** Gradient of log(L + 1e-8), as the methods use it. */
const logged = (q: Quadratic, theta: readonly number[]) => {
  const { value, gradient } = at(q, theta);
  return gradient.map((g) => g / (value + 1e-8));
};

describe("explicit on random quadratics", () => {
  const cases = Array.from({ length: 12 }, (_, i) => [i, [-0.05, 0, 0.02][i % 3]!] as const);
  test.each(cases)(
    "seed %i, ε %f: the closed form, and the linearised constraint holds",
    async (seed, epsilon) => {
      const random = uniform(seed);
      const [forget, retain] = [quadratic(random, 2 * D), quadratic(random, 2 * D)];
      const theta = Array.from({ length: D }, random).map(Math.fround);
      const lr = 0.05;
      const { d, lambda } = await step("explicit", forget, retain, theta, lr, epsilon);
      const [gf, gr] = [logged(forget, theta), logged(retain, theta)];
      const expected = Math.max(0, (-dot(gr, gf) - epsilon / lr) / dot(gr, gr));
      const direction = gf.map((g, i) => g + expected * gr[i]!);
      expect(Math.abs(lambda - expected)).toBeLessThanOrEqual(1e-4 * Math.max(1, expected));
      expect(relativeDistance(d, direction)).toBeLessThanOrEqual(1e-4);
      // −η⟨g_r, d⟩ ≤ ε, with equality where the surgery acts.
      const rise = -lr * dot(gr, d);
      expect(rise).toBeLessThanOrEqual(epsilon + 1e-5 * Math.max(1, Math.hypot(...gr) * Math.hypot(...d)));
      if (expected > 0)
        expect(Math.abs(rise - epsilon)).toBeLessThanOrEqual(1e-4 * Math.hypot(...gr) * Math.hypot(...d));
    },
  );

  test("both sides of the case distinction are met by the seeds above", () => {
    const acts = cases.map(([seed, epsilon]) => {
      const random = uniform(seed);
      const [forget, retain] = [quadratic(random, 2 * D), quadratic(random, 2 * D)];
      const theta = Array.from({ length: D }, random).map(Math.fround);
      return -dot(logged(retain, theta), logged(forget, theta)) - epsilon / 0.05 > 0;
    });
    expect(new Set(acts).size).toBe(2);
  });

  test.each([0, 0.01, 1])("ε = %f ≥ 0 and gradients that agree: nothing is changed", async (epsilon) => {
    const random = uniform(77);
    // The same A and a: g_r is a positive multiple of g_f.
    const forget = quadratic(random, 2 * D);
    const theta = Array.from({ length: D }, random).map(Math.fround);
    const { d, lambda } = await step("explicit", forget, forget, theta, 0.05, epsilon);
    expect(lambda).toBe(0);
    expect(relativeDistance(d, logged(forget, theta))).toBeLessThanOrEqual(1e-4);
  });

  test("no retain gradient: λ is 0, not infinite", async () => {
    const random = uniform(5);
    const forget = quadratic(random, 2 * D);
    const theta = Array.from({ length: D }, random).map(Math.fround);
    // θ is the retain optimum, exactly.
    const { lambda, next } = await step(
      "explicit",
      forget,
      { ...quadratic(random, 2 * D), rows: forget.rows.map(() => [0, 0, 0, 0]) },
      theta,
      0.05,
      -0.1,
    );
    expect(lambda).toBe(0);
    expect(next.every(Number.isFinite)).toBe(true);
  });
});

describe("dual ascent with θ held fixed and the rise linearised", () => {
  // rise(λ) = −η⟨g_r, g_f + λ g_r⟩, so λ' − λ* = (1 − βη‖g_r‖²)(λ − λ*).
  test.each([
    ["slow", 0.3],
    ["overshooting", 1.6],
    ["at once", 1],
  ])("%s: λ goes to λ* geometrically with ratio |1 − βη‖g_r‖²|", (_, product) => {
    const random = uniform(11);
    const gr = Array.from({ length: 6 }, random);
    // In conflict, so that λ* > 0.
    const gf = gr.map((v) => -2 * v + 0.3 * random());
    const [lr, epsilon] = [0.02, -0.003];
    const beta = product / (lr * dot(gr, gr));
    const wanted = (-dot(gr, gf) - epsilon / lr) / dot(gr, gr);
    expect(wanted).toBeGreaterThan(1);
    const closed = explicitLambda(
      tf.scalar(dot(gr, gf)),
      tf.scalar(dot(gr, gr)),
      tf.scalar(epsilon),
      tf.scalar(lr),
    ).dataSync()[0]!;
    expect(Math.abs(closed - wanted)).toBeLessThanOrEqual(1e-5 * wanted);
    // Started close enough that the projection never acts.
    let state = dualAscent.init(wanted * 1.5) as Readonly<Record<string, number>>;
    let error = state["lambda"]! - wanted;
    for (let t = 0; t < 8; t++) {
      const rise =
        -lr *
        dot(
          gr,
          gf.map((g, i) => g + state["lambda"]! * gr[i]!),
        );
      const next = dualAscent.update(
        { lambda: tf.scalar(state["lambda"]!) },
        tf.scalar(rise - epsilon),
        tf.scalar(1),
        beta,
      );
      state = { lambda: next["lambda"]!.dataSync()[0]! };
      const now = state["lambda"]! - wanted;
      expect(Math.abs(now - (1 - product) * error)).toBeLessThanOrEqual(1e-5 * wanted);
      error = now;
    }
    expect(Math.abs(error)).toBeLessThanOrEqual(wanted * 0.5 * Math.abs(1 - product) ** 8 + 1e-5 * wanted);
  });

  test("a constraint that is not active drives λ to 0 and holds it there", () => {
    let lambda = 0.5;
    for (let t = 0; t < 20; t++)
      lambda = dualAscent
        .update({ lambda: tf.scalar(lambda) }, tf.scalar(-0.1), tf.scalar(1), 1)
        .lambda!.dataSync()[0]!;
    expect(lambda).toBe(0);
  });

  test("λ does not move where the batch has no retained sample", () => {
    const { lambda } = dualAscent.update({ lambda: tf.scalar(0.5) }, tf.scalar(3), tf.scalar(0), 1);
    expect(lambda!.dataSync()[0]).toBe(0.5);
  });
});

test.each<Method>(["eupmu", "explicit"])(
  "%s with ε = ∞ and λ₀ = 0 is minimising log L_f alone",
  async (method) => {
    const random = uniform(3);
    const [forget, retain] = [quadratic(random, 2 * D), quadratic(random, 2 * D)];
    const theta = Array.from({ length: D }, random).map(Math.fround);
    const lr = 0.05;
    const { next, lambda } = await step(method, forget, retain, theta, lr, 1e9);
    expect(lambda).toBe(0);
    // tfjs's own gradient of log L_f and one plain step, without any of our step.
    const { grads } = tf.valueAndGrads((w: tf.Tensor) => {
      const z = tf.matMul(tf.tensor2d(forget.rows.map((row) => [...row])), w as tf.Tensor2D);
      const y = tf.tensor2d(forget.rows.map((row) => [dot(row, forget.a)]));
      return logLoss(sideLoss(tf.sum(tf.square(tf.sub(z, y)), 1), tf.ones([D]), tf.scalar(2 * D)));
    })([tf.tensor2d(theta, [D, 1])]);
    const plain = theta.map((t, i) => t - lr * grads[0]!.dataSync()[i]!);
    expect(
      relativeDistance(
        next.map((v, i) => v - theta[i]!),
        plain.map((v, i) => v - theta[i]!),
      ),
    ).toBeLessThanOrEqual(1e-5);
  },
);
