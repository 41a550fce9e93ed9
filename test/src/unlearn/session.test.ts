import { join } from "node:path";
import { expect, test } from "vitest";
import type { TrainableModel } from "../../../converters/import/model.ts";
import { importModel } from "../../../converters/importer.ts";
import { loadModelFile } from "../../../converters/onnx/read.ts";
import { DEFAULT_OPTIONS } from "../../../src/case/unlearn.ts";
import { loadDataset } from "../../../src/data/dataset.ts";
import { firstSamples } from "../../../src/data/sets.ts";
import { train } from "../../../src/unlearn/train.ts";
import type { Method } from "../../../src/unlearn/types.ts";

const digits = join(import.meta.dirname, "../../../models/digits");
const model = importModel(loadModelFile(join(digits, "digits.onnx")));
const load = async (name: string, count: number) =>
  firstSamples(
    await loadDataset(join(digits, name), model.inputs, { scale: 16, mean: [0.5], std: [0.5] }),
    count,
  );
const [forget, retain] = [await load("digits-forget.npz", 60), await load("digits-test.npz", 90)];
const BATCH = 20;

/** A run over mixed batches, and the batch sizes that the model was asked for. */
async function run(method: Method, given: Partial<TrainableModel> = {}) {
  const asked = new Set<number>();
  const watched: TrainableModel = {
    ...model,
    apply(weights, inputs) {
      asked.add(inputs["input"]!.shape[0]!);
      return model.apply(weights, inputs);
    },
    ...given,
  };
  const options = { ...DEFAULT_OPTIONS, method, batchSize: BATCH, threads: 1, epochs: 2, lr: 0.003 };
  return {
    ...(await train({ model: watched, forget, retain, options })),
    asked: [...asked].sort((a, b) => b - a),
  };
}

test.each(["eupmu", "explicit"] as const)(
  "%s: the rise is measured on as many rows as some batch has retained samples, and is that of the whole batch",
  async (method) => {
    const few = await run(method);
    expect(few.asked).toHaveLength(2);
    expect(few.asked[0]).toBe(BATCH);
    expect(few.asked[1]).toBeLessThan(BATCH);
    // Where samples of a batch depend on each other none of them may be left out.
    const whole = await run(method, { mixes: () => "a test" });
    expect(few.ledger).toHaveLength(whole.steps);
    whole.ledger.forEach((entry, i) => {
      for (const key of ["forgetLoss", "retainLoss", "batchRise", "lambda"] as const)
        expect(few.ledger[i]![key], `${key} of step ${entry.step}`).toBeCloseTo(entry[key]!, 4);
    });
  },
);

test("a method that measures no rise takes whole batches only", async () => {
  expect((await run("eupmu-fast")).asked).toEqual([BATCH]);
});
