import * as tf from "@tensorflow/tfjs-core";
import { expect, test } from "vitest";
import { getEngine } from "../../../src/engine/index.ts";
import type { OperatorTime } from "../../../src/engine/profile.ts";

test("the time of a step is told per operator, slowest first, shares adding up", async () => {
  const engine = await getEngine("onnxruntime");
  let rows: readonly OperatorTime[] = [];
  const runner = await engine.prepare(
    ({ w }, { x }) => ({ carry: { w: tf.sub(w!, 1) }, results: { y: tf.matMul(x!, w!) } }),
    { w: { spec: { shape: [3, 3], dtype: "float32" }, data: new Float32Array(9) } },
    { x: { shape: [2, 3], dtype: "float32" } },
    {
      onProfile: (told) => {
        rows = told;
      },
    },
  );
  for (let i = 0; i < 3; i++) await runner.run({ x: Float32Array.of(1, 2, 3, 4, 5, 6) });
  await runner.dispose();
  expect(rows.map(({ operator, nodes }) => [operator, nodes])).toEqual(
    expect.arrayContaining([
      ["MatMul", 1],
      ["Sub", 1],
    ]),
  );
  expect(rows.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
  const times = rows.map(({ millisecondsPerStep }) => millisecondsPerStep);
  expect(times).toEqual([...times].sort((a, b) => b - a));
});
