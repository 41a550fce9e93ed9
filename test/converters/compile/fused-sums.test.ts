import * as tf from "@tensorflow/tfjs-core";
import * as ort from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { compileStep } from "../../../converters/compile/compile.ts";
import type { StepFunction, TensorSpec } from "../../../converters/compile/step.ts";
import { onnxruntimeEngine } from "../../../src/engine/onnxruntime.ts";

const N = 2 ** 14;
const wave = (phase: number) => Float32Array.from({ length: N }, (_, i) => Math.sin(i * 1.7 + phase));
const data: Readonly<Record<string, Float32Array>> = {
  p: wave(0),
  v: wave(1),
  x: wave(2),
  lr: Float32Array.of(0.3),
};

/** Compiles f and runs it on p, v, x [128, 128] and the scalar lr. */
const run = async (f: (t: Readonly<Record<string, tf.Tensor>>) => Record<string, tf.Tensor>) => {
  const shape = (key: string) => (key === "lr" ? [] : [128, 128]);
  const graph = compileStep((_, batch) => ({ carry: {}, results: f(batch) }), {
    carry: {},
    batch: Object.fromEntries(Object.keys(data).map((key) => [key, { shape: shape(key), dtype: "float32" }])),
  });
  const session = await ort.InferenceSession.create(graph.bytes, { logSeverityLevel: 3 });
  const feeds = Object.entries(data).map(
    ([key, values]) => [graph.inputs.batch[key]!, new ort.Tensor("float32", values, shape(key))] as const,
  );
  const out = await session.run(Object.fromEntries(feeds));
  await session.release();
  return {
    fused: graph.nodeCounts["FusedConv"] ?? 0,
    values: (key: string) => out[graph.outputs.results[key]!]!.data as Float32Array,
  };
};

const f32 = Math.fround;

test("decay and momentum go into the gradient's memory, with the bits of two roundings each", async () => {
  const { fused, values } = await run(({ p, v, x, lr }) => {
    const gradient = tf.neg(x!);
    const velocity = tf.add(tf.mul(v!, 0.9), tf.add(gradient, tf.mul(p!, 5e-4)));
    return { velocity, next: tf.sub(p!, tf.mul(velocity, lr!)) };
  });
  expect(fused).toBe(2);
  const [decay, momentum, lr] = [f32(5e-4), f32(0.9), f32(0.3)];
  const velocity = data.p!.map((p, i) =>
    f32(f32(f32(p * decay) - data.x![i]!) + f32(data.v![i]! * momentum)),
  );
  expect(values("velocity")).toEqual(velocity);
  expect(values("next")).toEqual(data.p!.map((p, i) => f32(p - f32(velocity[i]! * lr))));
});

test("not where the sum or the product is read elsewhere, or the sum is an input", async () => {
  const { fused, values } = await run(({ p, v, x, lr }) => {
    const sum = tf.neg(x!);
    const product = tf.mul(p!, lr!);
    return {
      shared: tf.add(sum, product),
      sum: tf.abs(sum),
      product: tf.abs(product),
      input: tf.add(v!, tf.mul(x!, 3)),
    };
  });
  expect(fused).toBe(0);
  const lr = f32(0.3);
  expect(values("shared")).toEqual(data.x!.map((x, i) => f32(f32(data.p![i]! * lr) - x)));
  expect(values("input")).toEqual(data.v!.map((v, i) => f32(v + f32(data.x![i]! * 3))));
});

describe("where the caller gives the memory of every output", () => {
  const whole: TensorSpec = { shape: [128, 128], dtype: "float32" };
  const batch = { x: whole, lr: { shape: [], dtype: "float32" } as const };

  /** How a step is compiled, and its carry after three steps, with the result `seen` of the last. */
  const threeSteps = async (step: StepFunction, keys: readonly ("p" | "v")[]) => {
    const specs = Object.fromEntries(keys.map((key) => [key, whole]));
    const graph = compileStep(step, { carry: specs, batch }, { preallocated: true });
    const carry = Object.fromEntries(keys.map((key) => [key, { spec: whole, data: data[key]! }]));
    const runner = await onnxruntimeEngine().prepare(step, carry, batch);
    let seen: unknown;
    for (let i = 0; i < 3; i++) ({ seen } = await runner.run({ x: data.x!, lr: data.lr! }));
    const values: Readonly<Record<string, unknown>> = { ...(await runner.read()), seen };
    await runner.dispose();
    /** What is written into the memory of each new value before it. */
    const before = keys.map((key) => {
      const own = graph.precursors.filter(({ output }) => output === graph.outputs.carry[key]);
      return [key, own.length];
    });
    const { inPlace, nodeCounts, velocityPairs } = graph;
    return {
      ...{ values, inPlace, fused: nodeCounts["FusedConv"] ?? 0, before: Object.fromEntries(before) },
      beside: velocityPairs.map(({ velocity, weight, factors }) => [velocity, weight, ...factors]),
    };
  };
  /** Equal but for the order of the additions, which is another in every second step. */
  const expectClose = (values: unknown, wanted: Float32Array) => {
    const worst = Math.max(...wanted.map((value, i) => Math.abs((values as Float32Array)[i]! - value)));
    expect(worst).toBeLessThanOrEqual(2 ** -20 * Math.max(...wanted.map(Math.abs)));
  };

  const [decay, momentum, lr] = [f32(5e-4), f32(0.9), f32(0.3)];
  const velocityOf = (p: number, v: number, x: number) => f32(f32(v * momentum) + f32(f32(p * decay) - x));
  /** Weight and velocity of each element after so many steps. */
  const stateAfter = (steps: number) => {
    const state = { p: data.p!.slice(), v: data.v!.slice() };
    for (let i = 0; i < steps; i++) {
      state.v = state.v.map((v, j) => velocityOf(state.p[j]!, v, data.x![j]!));
      state.p = state.p.map((p, j) => f32(p - f32(state.v[j]! * lr)));
    }
    return state;
  };
  const momentumStep =
    (see: (t: Readonly<Record<"next" | "velocity" | "p" | "v", tf.Tensor>>) => tf.Tensor): StepFunction =>
    ({ p, v }, { x, lr: rate }) => {
      const velocity = tf.add(tf.mul(v!, 0.9), tf.add(tf.neg(x!), tf.mul(p!, 5e-4)));
      const next = tf.sub(p!, tf.mul(velocity, rate!));
      return { carry: { p: next, v: velocity }, results: { seen: see({ next, velocity, p: p!, v: v! }) } };
    };

  test("a weight and its velocity are updated in their memory, and go on from there", async () => {
    const step: StepFunction = ({ p, v }, { x, lr: rate }) => {
      const velocity = tf.add(tf.mul(v!, 0.9), tf.neg(x!));
      return { carry: { p: tf.sub(p!, tf.mul(velocity, rate!)), v: velocity }, results: {} };
    };
    const { values, inPlace, fused, before, beside } = await threeSteps(step, ["p", "v"]);
    // The new weight as a row; the velocity times its factor, and the sum as a row.
    expect({ inPlace, fused, before }).toEqual({ inPlace: ["p", "v"], fused: 2, before: { p: 1, v: 2 } });
    expect(beside).toEqual([]);
    const [p, v] = [data.p!.slice(), data.v!.slice()];
    for (let i = 0; i < 3; i++)
      for (let j = 0; j < p.length; j++) {
        v[j] = f32(v[j]! * momentum) - data.x![j]!;
        p[j] = p[j]! - f32(v[j]! * lr);
      }
    expect(values).toEqual({ p, v, seen: undefined });
  });

  test("with weight decay they lie side by side, and one pass takes both", async () => {
    const { values, inPlace, fused, before, beside } = await threeSteps(
      momentumStep(({ next, velocity }) => tf.add(next, velocity)),
      ["p", "v"],
    );
    // −x and its sum with both, in the memory of the new velocity.
    expect({ inPlace, fused, before }).toEqual({ inPlace: ["p"], fused: 2, before: { p: 1, v: 2 } });
    expect(beside).toEqual([["v", "p", momentum, decay]]);
    const { p, v } = stateAfter(3);
    expectClose(values["p"], p);
    expectClose(values["v"], v);
    expectClose(
      values["seen"],
      p.map((value, i) => value + v[i]!),
    );
  });

  test("but not the largest, whose second velocity would be felt", () => {
    const large: TensorSpec = { shape: [1025, 1024], dtype: "float32" };
    const { velocityPairs, inPlace } = compileStep(
      momentumStep(({ next }) => tf.sum(next)),
      { carry: { p: large, v: large }, batch: { ...batch, x: large } },
      { preallocated: true },
    );
    expect({ velocityPairs, inPlace }).toEqual({ velocityPairs: [], inPlace: ["p", "v"] });
  });

  test("a state written back goes on like the one that was read", async () => {
    const step = momentumStep(({ next }) => tf.sum(next));
    const carry = { p: { spec: whole, data: data.p! }, v: { spec: whole, data: data.v! } };
    const runner = await onnxruntimeEngine().prepare(step, carry, batch);
    const given = { x: data.x!, lr: data.lr! };
    await runner.run(given);
    const kept = await runner.read();
    await runner.run(given);
    const after = await runner.read();
    await runner.run(given);
    await runner.write(kept);
    await runner.run(given);
    const again = await runner.read();
    for (const key of ["p", "v"]) expectClose(again[key], after[key] as Float32Array);
    await runner.dispose();
  });

  test("a weight that is read beside the new one keeps its memory", async () => {
    const { values, inPlace, fused, before } = await threeSteps(
      momentumStep(({ next, p }) => tf.sub(next, p)),
      ["p", "v"],
    );
    expect({ inPlace, fused, before }).toEqual({ inPlace: ["v"], fused: 2, before: { p: 0, v: 2 } });
    const [{ p: old }, { p, v }] = [stateAfter(2), stateAfter(3)];
    expect(values).toEqual({ p, v, seen: p.map((value, i) => f32(value - old[i]!)) });
  });

  test("a velocity that is read beside the new one too", async () => {
    const { values, inPlace, fused, before } = await threeSteps(
      momentumStep(({ velocity, v }) => tf.sub(velocity, v)),
      ["p", "v"],
    );
    // −x, and its sum with decay and momentum.
    expect({ inPlace, fused, before }).toEqual({ inPlace: ["p"], fused: 2, before: { p: 1, v: 2 } });
    const [{ v: old }, { p, v }] = [stateAfter(2), stateAfter(3)];
    expectClose(values["p"], p);
    expectClose(values["v"], v);
    expectClose(
      values["seen"],
      v.map((value, i) => value - old[i]!),
    );
  });

  test("and one that the gradient is made of", async () => {
    const { values, inPlace, fused, before } = await threeSteps(
      ({ v }, { x }) => ({ carry: { v: tf.add(tf.mul(v!, 0.9), tf.neg(tf.mul(v!, x!))) }, results: {} }),
      ["v"],
    );
    expect({ inPlace, fused, before }).toEqual({ inPlace: [], fused: 1, before: { v: 2 } });
    const moved = (v: number, i: number) => f32(f32(v * momentum) - f32(v * data.x![i]!));
    expect(values["v"]).toEqual(data.v!.map(moved).map(moved).map(moved));
  });

  test("a mean that moves takes one pass for what comes in", async () => {
    const { values, inPlace, fused, before } = await threeSteps(
      ({ v }, { x }) => ({ carry: { v: tf.add(tf.mul(x!, 0.1), tf.mul(v!, 0.9)) }, results: {} }),
      ["v"],
    );
    expect({ inPlace, fused, before }).toEqual({ inPlace: ["v"], fused: 1, before: { v: 2 } });
    const moved = (v: number, i: number) => f32(f32(v * momentum) + f32(data.x![i]! * f32(0.1)));
    expect(values["v"]).toEqual(data.v!.map(moved).map(moved).map(moved));
  });

  test("a weight that shrinks by a part of itself is no convolution of itself", async () => {
    const { values, inPlace, fused } = await threeSteps(
      ({ p }, { lr: rate }) => ({ carry: { p: tf.sub(p!, tf.mul(p!, rate!)) }, results: {} }),
      ["p"],
    );
    expect({ inPlace, fused }).toEqual({ inPlace: ["p"], fused: 0 });
    const shrunk = (p: number) => f32(p - f32(p * lr));
    expect(values["p"]).toEqual(data.p!.map(shrunk).map(shrunk).map(shrunk));
  });
});
