import { join } from "node:path";
import { expect, test } from "vitest";
import type { TrainableModel } from "../../../converters/import/model.ts";
import { importModel } from "../../../converters/importer.ts";
import { loadModelFile } from "../../../converters/onnx/read.ts";
import { DEFAULT_OPTIONS } from "../../../src/case/unlearn.ts";
import { loadDataset } from "../../../src/data/dataset.ts";
import { firstSamples } from "../../../src/data/sets.ts";
import { train } from "../../../src/unlearn/train.ts";
import { METHODS, type UnlearnOptions } from "../../../src/unlearn/types.ts";
import type { Watch } from "../../../src/unlearn/watch.ts";
import { relativeDistance } from "./harness.ts";

const digits = join(import.meta.dirname, "../../../models/digits");
const model = importModel(loadModelFile(join(digits, "digits.onnx")));
const load = async (name: string, count: number) =>
  firstSamples(
    await loadDataset(join(digits, name), model.inputs, { scale: 16, mean: [0.5], std: [0.5] }),
    count,
  );
// Test images stand for the retained ones: what the model knows by heart has gradients of rounding size.
const [forget, retain] = [await load("digits-forget.npz", 17), await load("digits-test.npz", 35)];

/** The same model, as if its graph worked on eight samples only. */
const ofEight: TrainableModel = {
  ...model,
  batching: { kind: "split", size: 8, because: "a test" },
  mixes: () => "a test",
  apply(weights, inputs) {
    expect(inputs["input"]!.shape[0]).toBe(8);
    return model.apply(weights, inputs);
  },
};
const options: UnlearnOptions = {
  ...{ ...DEFAULT_OPTIONS, batchSize: 20, threads: 1, epochs: 1, lr: 0.003 },
  ...{ clipNorm: 1, saliency: 0.5 },
};
const moves = async (of: TrainableModel, given: UnlearnOptions, watch?: Watch) => {
  const { weights, ledger } = await train({ model: of, forget, retain, options: given, watch });
  const start = new Map(model.parameters.map(({ name, data }) => [name, data]));
  return {
    ledger,
    moved: [...weights].flatMap(([name, values]) => Array.from(values, (v, i) => v - start.get(name)![i]!)),
  };
};

test.each(METHODS)("%s: parts of eight take the step of the whole batch", async (method) => {
  const [parts, whole] = [
    await moves(ofEight, { ...options, method }),
    await moves(model, { ...options, method }),
  ];
  expect(Math.hypot(...whole.moved)).toBeGreaterThan(0);
  expect(relativeDistance(parts.moved, whole.moved)).toBeLessThan(1e-4);
  parts.ledger.forEach((entry, i) => {
    for (const key of ["forgetLoss", "retainLoss", "batchRise", "lambda"] as const) {
      const wanted = whole.ledger[i]![key];
      if (wanted === null) expect(entry[key]).toBeNull();
      else expect(entry[key]).toBeCloseTo(wanted, 4);
    }
  });
});

test("batches smaller than the graph's own are filled up, and looks run at its size too", async () => {
  const watch: Watch = {
    ...{
      validation: await load("digits-retain.npz", 50),
      minForgetting: { amount: 0, unit: "accuracy" as const },
    },
    ...{ goal: "gone" as const, also: {}, limits: [], budget: { amount: 1, unit: "accuracy" as const } },
    stopWhen: [],
  };
  const given = { ...options, batchSize: 5 };
  const [parts, whole] = [await moves(ofEight, given, watch), await moves(model, given, watch)];
  expect(relativeDistance(parts.moved, whole.moved)).toBeLessThan(1e-4);
});
