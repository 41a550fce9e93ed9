import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { importModel } from "../../../converters/importer.ts";
import { loadModelFile } from "../../../converters/onnx/read.ts";
import { DEFAULT_OPTIONS } from "../../../src/case/unlearn.ts";
import { loadDataset } from "../../../src/data/dataset.ts";
import { firstSamples } from "../../../src/data/sets.ts";
import { unlearn } from "../../../src/release/unlearn.ts";
import { taskOf } from "../../../src/tasks/index.ts";
import { truthOf } from "../../../src/tasks/truth.ts";
import { train } from "../../../src/unlearn/train.ts";
import { METHODS, type Method, type UnlearnOptions } from "../../../src/unlearn/types.ts";
import { installed } from "../engine/installed.ts";

const digits = join(import.meta.dirname, "../../../models/digits");
const preprocessing = { scale: 16, mean: [0.5], std: [0.5] };
const path = (name: string) => join(digits, name);
const paths = {
  model: path("digits.onnx"),
  forget: path("digits-forget.npz"),
  retain: path("digits-retain.npz"),
  preprocessing,
};
const model = importModel(loadModelFile(paths.model));
const load = (name: string) => loadDataset(path(name), model.inputs, preprocessing);
const [forget, retain] = [await load("digits-forget.npz"), await load("digits-retain.npz")];
const [few, fewRetained] = [firstSamples(forget, 20), firstSamples(retain, 40)];
const fewSets = { forget: few, retain: fewRetained };
const trainFew = (options: UnlearnOptions) => train({ model, ...fewSets, options });
const folder = mkdtempSync(join(tmpdir(), "onnx-unlearn-contract-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const base: UnlearnOptions = { ...DEFAULT_OPTIONS, batchSize: 64, threads: 1, epochs: 3, lr: 0.003 };

/** Settings with which each method forgets on the digits model: plain ones, found by hand. */
const forgets: { readonly [M in Method]: Partial<UnlearnOptions> } = {
  eupmu: {},
  "eupmu-fast": { lr: 0.02 },
  explicit: {},
  finetune: { lr: 0.2, epochs: 5 },
  "gradient-ascent": {},
  "neggrad-plus": { lr: 0.03 },
  "random-label": {},
  salun: {},
  "l1-sparse": { lr: 0.1, epochs: 5, settings: { l1: 1e-3 } },
  scrub: { lr: 0.02, epochs: 5, settings: { forgetEpochs: 4 } },
  "bad-teacher": {},
  pcgrad: {},
};

const bytesOf = (weights: ReadonlyMap<string, Float32Array>) =>
  [...weights].map(([name, values]) => `${name} ${Buffer.from(values.buffer).toString("base64")}`).join("\n");

const engines = await installed("onnxruntime", "tensorflow");
const pairs = engines.flatMap((engine) => METHODS.map((method) => [engine, method] as const));

describe.each(pairs)("on %s, %s", (engine, method) => {
  const own = { ...base, engine, method };
  const short = { ...own, epochs: 1, batchSize: 32 };

  test("an unknown option and an unknown setting are refused", async () => {
    const unknown = { ...short, learningRate: 1 } as UnlearnOptions;
    await expect(trainFew(unknown)).rejects.toMatchObject({
      code: "UNKNOWN_OPTION",
      exitCode: 2,
    });
    await expect(trainFew({ ...short, settings: { nonsense: 1 } })).rejects.toMatchObject({
      code: "UNKNOWN_OPTION",
      exitCode: 2,
    });
    await expect(trainFew({ ...short, lr: Number.NaN })).rejects.toMatchObject({
      code: "OPTION_RANGE",
      exitCode: 2,
    });
  });

  test("same seed, same bytes; another seed, others", async () => {
    const run = async (seed: number) => bytesOf((await trainFew({ ...short, seed })).weights);
    const [first, again, other] = [await run(0), await run(0), await run(1)];
    expect(again).toBe(first);
    expect(other).not.toBe(first);
  });

  test("frozen tensors do not move, masked weights neither", async () => {
    const frozen = importModel(loadModelFile(paths.model), { freeze: ["*.bias"] });
    const { weights } = await train({ ...fewSets, model: frozen, options: { ...short, saliency: 0.1 } });
    const trainable = frozen.parameters.filter((p) => p.trainable);
    expect([...weights.keys()]).toEqual(trainable.map(({ name }) => name));
    expect(trainable.length).toBeLessThan(model.parameters.filter((p) => p.trainable).length);
    let [moved, all] = [0, 0];
    for (const { name, data } of trainable)
      data.forEach((v, i) => {
        moved += Number(v !== weights.get(name)![i]);
        all++;
      });
    expect(moved).toBeGreaterThan(0);
    // Ties at the threshold may add a weight or two.
    expect(moved).toBeLessThanOrEqual(0.101 * all);
  });

  test("it forgets: accuracy on the forget set falls by at least 5 points", async () => {
    const out = join(folder, `${engine}-${method}.onnx`);
    const { before, after } = await unlearn({ ...paths, out, options: { ...own, ...forgets[method] } });
    expect(before.forgetAccuracy! - after.forgetAccuracy!).toBeGreaterThanOrEqual(0.05);
    expect(readFileSync(out).equals(readFileSync(paths.model))).toBe(false);
  });

  test("the saved file holds the trained weights", async () => {
    const out = join(folder, `${engine}-${method}-short.onnx`);
    const options = { ...own, epochs: 1, batchSize: 256 };
    await unlearn({ ...paths, out, options });
    const { weights } = await train({ model, forget, retain, options });
    const saved = new Map(importModel(loadModelFile(out)).parameters.map(({ name, data }) => [name, data]));
    for (const [name, values] of weights) expect(saved.get(name), name).toEqual(values);
  });
});

test.each(["bounded-ascent", "uniform", "likely-other"] as const)(
  "eupmu forgets with the objective %s",
  async (forgetObjective) => {
    const out = join(folder, `${forgetObjective}.onnx`);
    const { before, after } = await unlearn({ ...paths, out, options: { ...base, forgetObjective } });
    expect(before.forgetAccuracy! - after.forgetAccuracy!).toBeGreaterThanOrEqual(0.05);
  },
);

test("AdamW, a cosine with warm-up, clipping: each changes the result", async () => {
  const run = async (options: Partial<UnlearnOptions>) =>
    bytesOf((await trainFew({ ...base, epochs: 2, batchSize: 16, ...options })).weights);
  const results = new Set([
    await run({}),
    await run({ optimizer: "adamw" }),
    await run({ schedule: "cosine" }),
    await run({ warmup: 0.5 }),
    await run({ clipNorm: 1e-3 }),
    await run({ epsilonSchedule: "linear" }),
  ]);
  // λ starts at 0 and ε_t moves only λ: two epochs are enough for that to reach the weights.
  expect(results.size).toBe(6);
});

test("a method with its own forget objective refuses another one", async () => {
  await expect(
    trainFew({ ...base, method: "neggrad-plus", forgetObjective: "uniform" }),
  ).rejects.toMatchObject({ code: "OBJECTIVE_FIXED", exitCode: 2 });
});

test("a loss on vectors needs vectors, and not every objective exists for it", async () => {
  await expect(trainFew({ ...base, loss: "mse" })).rejects.toMatchObject({
    code: "TARGETS_MISSING",
  });
  await expect(trainFew({ ...base, loss: "mse", forgetObjective: "uniform" })).rejects.toMatchObject({
    code: "OBJECTIVE_LOSS",
  });
});

test.each(["mse", "binary-cross-entropy"] as const)("%s trains on vector targets", async (loss) => {
  const oneHot = (set: typeof few) => ({
    ...set,
    task: taskOf(loss),
    truth: truthOf(
      Float32Array.from({ length: set.count * 10 }, (_, i) =>
        Number(set.truth.data[Math.floor(i / 10)] === i % 10),
      ),
      [10],
    ),
  });
  const { ledger } = await train({
    model,
    forget: oneHot(few),
    retain: oneHot(fewRetained),
    options: {
      ...base,
      method: "finetune",
      loss,
      epochs: 10,
      batchSize: 40,
      lr: 0.01,
    },
  });
  expect(ledger.at(-1)!.retainLoss!).toBeLessThan(ledger[0]!.retainLoss! / 2);
});
