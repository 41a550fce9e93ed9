import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, test } from "vitest";
import { gather } from "../../../converters/kernels/movement.ts";
import { ENGINES } from "../../../src/engine/engine.ts";
import { getEngine } from "../../../src/engine/index.ts";
import { PACKAGES } from "../../../src/engine/tensorflow.ts";
import { installed } from "./installed.ts";

const engines = await installed(...ENGINES);

describe.each(engines)("on %s", (name) => {
  test("the carry moves on in its own buffers, results come back, weights may be read and set at any time", async () => {
    const engine = await getEngine(name);
    const runner = await engine.prepare(
      // w ← w − 0.5 v, v ← 2 v + x: exact in float32
      ({ w, v }, { x }) => {
        const next = tf.add(tf.mul(v!, 2), x!);
        return { carry: { w: tf.sub(w!, tf.mul(next, 0.5)), v: next }, results: { sum: tf.sum(w!) } };
      },
      {
        w: { spec: { shape: [2], dtype: "float32" }, data: Float32Array.of(10, 20) },
        v: { spec: { shape: [2], dtype: "float32" }, data: Float32Array.of(0, 0) },
      },
      { x: { shape: [2], dtype: "float32" } },
    );
    const sums: number[] = [];
    for (let i = 0; i < 4; i++) sums.push((await runner.run({ x: Float32Array.of(1, 2) })).sum![0]!);
    // v: 1 3 7 15 (twice that beside it), w: 10 9.5 8 4.5 −3
    expect(sums).toEqual([30, 28.5, 24, 13.5]);
    const { w, v } = await runner.read();
    expect([Array.from(w!), Array.from(v!)]).toEqual([
      [-3, -6],
      [15, 30],
    ]);
    await runner.write({ v: Float32Array.of(0, 0) });
    await runner.run({ x: Float32Array.of(0, 0) });
    expect(Array.from((await runner.read()).w!)).toEqual([-3, -6]);
    await runner.dispose();
  });

  test("what goes wrong inside a step is told", async () => {
    const engine = await getEngine(name);
    const runner = await engine.prepare(
      (_, { at, x }) => ({ carry: {}, results: { y: gather(x!, at!, 0) } }),
      {},
      { at: { shape: [1], dtype: "int32" }, x: { shape: [2], dtype: "float32" } },
    );
    const x = Float32Array.of(5, 6);
    expect(Array.from((await runner.run({ at: Int32Array.of(1), x })).y!)).toEqual([6]);
    await expect(runner.run({ at: Int32Array.of(7), x })).rejects.toThrow(/out of|not in/i);
    await runner.dispose();
  });
});

test("the packages of engine tensorflow are the optional peer dependencies", () => {
  const { peerDependencies, peerDependenciesMeta } = JSON.parse(readFileSync("package.json", "utf8"));
  expect(Object.keys(peerDependencies).sort()).toEqual([...PACKAGES].sort());
  for (const name of PACKAGES) expect(peerDependenciesMeta[name]).toEqual({ optional: true });
});
