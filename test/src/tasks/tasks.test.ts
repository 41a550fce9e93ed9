// Registers the gradients of all tfjs kernels.
import "@tensorflow/tfjs-layers";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { importModel } from "../../../converters/importer.ts";
import { loadModelFile } from "../../../converters/onnx/read.ts";
import { DEFAULT_OPTIONS } from "../../../src/case/unlearn.ts";
import { loadDataset } from "../../../src/data/dataset.ts";
import { firstSamples } from "../../../src/data/sets.ts";
import { getEngine } from "../../../src/engine/index.ts";
import { setMetrics } from "../../../src/evaluate/glossary.ts";
import { checkTrainable, LOSSES, type LossName, taskOf, tasks } from "../../../src/tasks/index.ts";
import { mean } from "../../../src/tasks/numbers.ts";
import type { Labelled, Outputs, Task, TruthArray } from "../../../src/tasks/task.ts";
import { truthOf, truthRows, truthSpec } from "../../../src/tasks/truth.ts";
import { drawing } from "../../../src/unlearn/batches.ts";
import { train } from "../../../src/unlearn/train.ts";
import { uniform } from "../unlearn/harness.ts";

const [N, UNITS] = [5, 7];
const random = uniform(3);
const raw = Float32Array.from({ length: N * UNITS }, () => 4 * random());
const row = (i: number, values: ArrayLike<number> = raw) =>
  Array.from({ length: UNITS }, (_, c) => values[i * UNITS + c]!);
const average = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length;

/**
 * Per task: an array `y` of a file, and the formulas of loss and accuracy for outputs z and truth y of one
 * sample.
 */
const given: {
  readonly [T in LossName]: {
    readonly y: TruthArray;
    readonly loss: (z: readonly number[], y: readonly number[]) => number;
    readonly accuracy?: (z: readonly number[], y: readonly number[]) => number;
    readonly objectives: readonly string[];
  };
} = {
  "cross-entropy": {
    y: { dims: [N], kind: "integer", data: [0, 6, 3, 3, 1] },
    loss: (z, [y]) => Math.log(z.reduce((sum, v) => sum + Math.exp(v), 0)) - z[y!]!,
    accuracy: (z, [y]) => Number(z.every((v) => v <= z[y!]!)),
    objectives: ["random-label", "bounded-ascent", "uniform", "likely-other"],
  },
  "binary-cross-entropy": {
    y: { dims: [N, UNITS], kind: "float", data: Array.from(raw, (_, i) => Number(i % 3 === 0)) },
    loss: (z, y) =>
      average(z.map((v, c) => -Math.log(y[c] ? 1 / (1 + Math.exp(-v)) : 1 - 1 / (1 + Math.exp(-v))))),
    accuracy: (z, y) => average(z.map((v, c) => Number(Number(v > 0) === y[c]))),
    objectives: ["random-label", "bounded-ascent", "uniform"],
  },
  mse: {
    y: { dims: [N, UNITS], kind: "float", data: Array.from(raw, (_, i) => Math.fround(i / 9)) },
    loss: (z, y) => average(z.map((v, c) => (v - y[c]!) ** 2)),
    objectives: ["random-label"],
  },
};

const names = Object.keys(tasks) as LossName[];
const outputs: Outputs = { count: N, raw, kind: "logits" };

describe.each(names)("%s", (name) => {
  const task: Task = tasks[name];
  const { y, loss, accuracy, objectives } = given[name];
  const { count, truth } = task.read("set.npz", y, "it has: y");
  const set: Labelled = { path: "set.npz", count, task, truth };
  const wanted = Array.from({ length: N }, (_, i) =>
    loss(row(i), Array.from(truthRows(truth, [i]).data, Number)),
  );

  test("the loss is its formula, as a tensor on every engine and in float64 on the host", async () => {
    expect(count).toBe(N);
    const columns = task.measure(outputs, truth);
    for (const [i, value] of wanted.entries()) expect(columns.loss![i]!).toBeCloseTo(value, 12);
    for (const engine of ["cpu", "onnxruntime"] as const) {
      const runner = await (await getEngine(engine)).prepare(
        (carry, batch) => ({ carry, results: { loss: task.loss(batch.z!, batch.y!) } }),
        {},
        { z: { shape: [N, UNITS], dtype: "float32" }, y: truthSpec(truth, N) },
      );
      const { loss: values } = await runner.run({ z: raw, y: truth.data });
      await runner.dispose();
      for (const [i, value] of wanted.entries()) expect(values![i]!, engine).toBeCloseTo(value, 5);
    }
  });

  test("accuracy is the share of labels that are right; a task without one cannot have it as its unit", () => {
    const column = task.measure(outputs, truth).accuracy;
    if (accuracy)
      expect(Array.from(column!)).toEqual(
        wanted.map((_, i) => accuracy(row(i), Array.from(truthRows(truth, [i]).data, Number))),
      );
    else expect(column).toBeUndefined();
    expect(task.units.includes("accuracy")).toBe(accuracy !== undefined);
  });

  test("the forget objectives it admits; truth that is drawn has the form of its own and repeats with the seed", () => {
    expect(Object.keys(task.objectives)).toEqual(objectives);
    const { redraw } = task.objectives["random-label"]!;
    const [first, again, other] = [1, 1, 2].map((seed) => redraw!(set, UNITS, drawing(seed)()));
    expect(truthSpec(first!, N)).toEqual(truthSpec(truth, N));
    expect(first!.data).not.toEqual(truth.data);
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
    // What is drawn is truth: it could stand in a file.
    expect(task.read("drawn", { ...y, data: Array.from(first!.data) }, "").truth).toEqual(first);
  });

  test("its metrics are in the glossary, and each has its column", () => {
    const columns = task.measure(outputs, truth);
    for (const [metric, column] of Object.entries(task.metrics)) {
      expect(setMetrics).toContain(metric);
      if (metric !== "Accuracy" || accuracy) expect(columns[column], metric).toHaveLength(N);
    }
    expect(Object.keys(task.metrics)).toEqual(expect.arrayContaining(Object.keys(task.glossary)));
  });

  test("outputs that are not numbers are broken, no other", () => {
    const nan = raw.slice();
    nan[2 * UNITS + 1] = Number.NaN;
    const { broken, loss: losses } = task.measure({ ...outputs, raw: nan }, truth);
    expect(Array.from(broken)).toEqual([0, 0, 1, 0, 0]);
    expect(mean(losses!)).toBeNaN();
    expect(task.classes?.predicted({ ...outputs, raw: nan })[2] ?? -1).toBe(-1);
  });

  test("two models that answer alike agree, and nothing turned wrong or right", () => {
    const { agreement, kl, newlyWrong, newlyRight } = task.compare(outputs, outputs, truth);
    if (agreement) expect(mean(agreement)).toBe(1);
    if (kl) expect(mean(kl)).toBe(0);
    for (const column of [newlyWrong, newlyRight]) if (column) expect(mean(column)).toBe(0);
  });

  test("a set that does not fit the model, or was read for another task, is refused by name", () => {
    expect(() => checkTrainable(set, task, UNITS)).not.toThrow();
    const code = name === "cross-entropy" ? "LABEL_RANGE" : "TARGETS_SHAPE";
    expect(() => checkTrainable(set, task, 2)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining("set.npz") }),
    );
    const other = tasks[names.find((one) => one !== name)!];
    expect(() => checkTrainable(set, other, UNITS)).toThrow(
      expect.objectContaining({ code: "TARGETS_MISSING", message: expect.stringContaining(task.noun) }),
    );
  });
});

test("every task is selected by a loss; without one it is classification", () => {
  expect(new Set(LOSSES.map((loss) => taskOf(loss)))).toEqual(new Set(Object.values(tasks)));
  expect(taskOf()).toBe(tasks["cross-entropy"]);
});

test("one logit stands for class 1 against class 0, and a probability for both", () => {
  const truth = truthOf(Int32Array.of(1, 0));
  const logits = { count: 2, raw: Float32Array.of(2, 3), kind: "logits" } as const;
  const { loss, accuracy } = tasks["cross-entropy"].measure(logits, truth);
  // −log σ(2) and −log (1 − σ(3)).
  expect(loss![0]).toBeCloseTo(Math.log(1 + Math.exp(-2)), 12);
  expect(loss![1]).toBeCloseTo(Math.log(1 + Math.exp(3)), 12);
  expect(Array.from(accuracy!)).toEqual([1, 0]);
  const sigmoid = { ...logits, raw: Float32Array.of(0.75, 0.25), kind: "sigmoid" } as const;
  expect(Array.from(tasks["cross-entropy"].classes.probabilities(sigmoid)!)).toEqual([
    0.25, 0.75, 0.75, 0.25,
  ]);
  expect(Array.from(tasks["cross-entropy"].classes.predicted(sigmoid))).toEqual([1, 0]);
});

test("truth may have any shape per sample", () => {
  const masks = truthOf(
    Int32Array.from({ length: 24 }, (_, i) => i),
    [3, 4],
  );
  expect(truthSpec(masks, 8)).toEqual({ shape: [8, 3, 4], dtype: "int32" });
  expect(Array.from(truthRows(masks, [1]).data)).toEqual(Array.from({ length: 12 }, (_, i) => 12 + i));
});

test("a task may draw into each step's batch: the same draws from the same seed", async () => {
  const digits = join(import.meta.dirname, "../../../models/digits");
  const model = importModel(loadModelFile(join(digits, "digits.onnx")));
  const load = async (name: string) =>
    firstSamples(
      await loadDataset(join(digits, name), model.inputs, { scale: 16, mean: [0.5], std: [0.5] }),
      12,
    );
  const sets = [await load("digits-forget.npz"), await load("digits-retain.npz")] as const;
  const run = async (seed: number) => {
    const drawn: number[][] = [];
    const drawStep: Task["drawStep"] = (batch, draw) => {
      drawn.push([batch.labels!.length, batch["x:input"]!.length, draw(0, 1e6)]);
    };
    Object.assign(tasks["cross-entropy"], { drawStep });
    try {
      const options = { ...DEFAULT_OPTIONS, seed, epochs: 2, batchSize: 12, threads: 1 };
      const { steps } = await train({ model, forget: sets[0], retain: sets[1], options });
      expect(drawn).toHaveLength(steps);
    } finally {
      Reflect.deleteProperty(tasks["cross-entropy"], "drawStep");
    }
    return drawn;
  };
  const first = await run(0);
  expect(first.map(([labels, values]) => [labels, values])).toEqual(first.map(() => [12, 12 * 64]));
  expect(await run(0)).toEqual(first);
  expect(await run(1)).not.toEqual(first);
});
