import "@tensorflow/tfjs-backend-cpu";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, test } from "vitest";
import { elementCount } from "../../../converters/dims.ts";
import type { TrainableModel } from "../../../converters/import/model.ts";
import { importModel } from "../../../converters/importer.ts";
import { loadModelFile } from "../../../converters/onnx/read.ts";
import { DEFAULT_OPTIONS } from "../../../src/case/unlearn.ts";
import type { Dataset } from "../../../src/data/types.ts";
import { ofClasses } from "../../../src/tasks/classification.ts";
import type { ForgetObjective } from "../../../src/tasks/task.ts";
import { namedOptions } from "../../../src/unlearn/chosen.ts";
import { methods } from "../../../src/unlearn/methods/index.ts";
import type { MethodDefinition } from "../../../src/unlearn/methods/method.ts";
import { train } from "../../../src/unlearn/train.ts";
import type { UnlearnOptions } from "../../../src/unlearn/types.ts";
import { fixtures, relativeDistance, uniform } from "./harness.ts";

const model = importModel(loadModelFile(join(fixtures, "small.onnx")));
const trainable = model.parameters.filter((p) => p.trainable);
const CLASSES = 5;
const LR = 0.05;
const [FORGOTTEN, RETAINED] = [4, 8];
const N = FORGOTTEN + RETAINED;

const random = uniform(1);
const madeUp = (path: string, count: number): Dataset => {
  const dims = [count, 2, 8, 8];
  return {
    path,
    inputs: { input: { data: Float32Array.from({ length: elementCount(dims) }, random), dims } },
    ...ofClasses(Int32Array.from({ length: count }, (_, i) => i % CLASSES)),
  };
};
const [forget, retain] = [madeUp("forget", FORGOTTEN), madeUp("retain", RETAINED)];

/** Logits towards 0: nothing is preferred. */
const indifferent: ForgetObjective = {
  perSample: (logits) => tf.mean(tf.square(logits), 1),
  loggable: false,
};

/** Both losses pulled at once, the forget side by a weight of its own. */
const gradientDifference: MethodDefinition = {
  name: "gradient-difference",
  uses: { forget: true, retain: true },
  settings: { weight: { value: 1, minimum: 0, maximum: 10, what: "of the forget loss" } },
  losses: [({ forget, retain }, { setting }) => tf.sub(retain, tf.mul(forget, setting("weight")))],
};

/** The graph as it is, and as if it worked on five samples only: three parts, the last one padded. */
const graphs: readonly (readonly [string, TrainableModel])[] = [
  ["whole batches", model],
  ["batches in parts", { ...model, batching: { kind: "split", size: 5, because: "a test" } }],
];
const base: UnlearnOptions = {
  ...{ ...DEFAULT_OPTIONS, epochs: 1, batchSize: N, lr: LR, threads: 1 },
  ...{ momentum: 0, weightDecay: 0 },
};
const run = async (graph: TrainableModel, options: Partial<UnlearnOptions>) =>
  train({ model: graph, forget, retain, options: { ...base, ...options } });
const moved = (weights: ReadonlyMap<string, Float32Array>) =>
  trainable.flatMap(({ name, data }) => Array.from(weights.get(name)!, (v, i) => v - data[i]!));

/** −lr ∇ of a function of both sides' logits, by tfjs alone. */
async function descent(loss: (forgetLogits: tf.Tensor, retainLogits: tf.Tensor) => tf.Tensor) {
  await tf.setBackend("cpu");
  const { grads } = tf.valueAndGrads((...values: tf.Tensor[]) => {
    const weights = Object.fromEntries(trainable.map(({ name }, i) => [name, values[i]!]));
    const logits = ({ inputs: { input } }: Dataset) =>
      model.apply(weights, { input: tf.tensor(input!.data, [...input!.dims]) });
    return loss(logits(forget), logits(retain)) as tf.Scalar;
  })(trainable.map(({ data, dims }) => tf.tensor(data, [...dims])));
  return grads.flatMap((gradient) => Array.from(gradient.dataSync(), (g) => -LR * g));
}
const retainLoss = (logits: tf.Tensor) =>
  tf.mul(
    tf.losses.softmaxCrossEntropy(tf.oneHot(tf.tensor1d(retain.truth.data, "int32"), CLASSES), logits),
    RETAINED / N,
  );
const forgetLoss = (logits: tf.Tensor) => tf.mul(tf.mean(tf.square(logits)), FORGOTTEN / N);

describe.each(graphs)("a method and an objective of one's own, %s", (_, graph) => {
  test("gradient difference takes the step that tfjs takes", async () => {
    const { weights, ledger } = await run(graph, {
      method: gradientDifference,
      forgetObjective: indifferent,
      settings: { weight: 0.3 },
    });
    const wanted = await descent((f, r) => tf.sub(retainLoss(r), tf.mul(forgetLoss(f), 0.3)));
    expect(ledger).toHaveLength(1);
    expect(relativeDistance(moved(weights), wanted)).toBeLessThanOrEqual(1e-4);
  });

  test("two losses, a combination and a penalty: −lr (2 g_f + g_r + ∇½‖θ‖²)", async () => {
    const { weights } = await run(graph, {
      method: {
        name: "own",
        uses: { forget: true, retain: true },
        objective: indifferent,
        losses: [({ forget: loss }) => loss, ({ retain: loss }) => loss],
        penalty: (at) =>
          Object.values(at)
            .map((w): tf.Tensor => tf.mul(tf.sum(tf.square(w)), 0.25))
            .reduce((sum, term) => tf.add(sum, term)),
        combine: ([f, r]) => ({
          gradient: Object.fromEntries(
            Object.keys(f).map((name) => [name, tf.add(tf.mul(f[name]!, 2), r![name]!)]),
          ),
        }),
      },
    });
    const losses = await descent((f, r) => tf.add(tf.mul(forgetLoss(f), 2), retainLoss(r)));
    const theta = trainable.flatMap(({ data }) => [...data]);
    const wanted = losses.map((v, i) => v - LR * theta[i]!);
    expect(relativeDistance(moved(weights), wanted)).toBeLessThanOrEqual(1e-4);
  });

  test("a dual variable of one's own is carried, with the measured rise", async () => {
    const { lambda, steps, ledger } = await run(graph, {
      method: {
        ...gradientDifference,
        dual: {
          start: () => ({ lambda: 0, risen: 0 }),
          update: (state, error, measured) => ({
            lambda: tf.add(state["lambda"]!, measured),
            risen: tf.add(state["risen"]!, error),
          }),
        },
      },
      epochs: 3,
    });
    expect(lambda).toBe(steps);
    expect(ledger.map((entry) => entry.lambda)).toEqual([0, 1, 2]);
    for (const [t, { batchRise }] of ledger.slice(0, -1).entries())
      expect(batchRise!).toBeCloseTo(
        Math.log(ledger[t + 1]!.retainLoss! + 1e-8) - Math.log(ledger[t]!.retainLoss! + 1e-8),
        3,
      );
  });
});

test.each<[string, Partial<UnlearnOptions>]>([
  ["a method that no list has", { method: "nonsense" as "eupmu" }],
  ["a method without losses", { method: { name: "half" } as unknown as MethodDefinition }],
  ["an objective that no list has", { forgetObjective: "nonsense" as "uniform" }],
  ["an objective without a loss", { forgetObjective: { loggable: true } as unknown as ForgetObjective }],
])("%s is refused", async (_, options) => {
  await expect(run(model, options)).rejects.toMatchObject({ code: "OPTION_RANGE", exitCode: 2 });
});

test("a setting that an own method does not declare is refused, its own range too", async () => {
  const own = { method: gradientDifference };
  await expect(run(model, { ...own, settings: { nonsense: 1 } })).rejects.toMatchObject({
    code: "UNKNOWN_OPTION",
  });
  await expect(run(model, { ...own, settings: { weight: 11 } })).rejects.toMatchObject({
    code: "OPTION_RANGE",
  });
});

test("a report names own values", () => {
  const { method, forgetObjective } = namedOptions({
    ...base,
    method: gradientDifference,
    forgetObjective: indifferent,
  });
  expect([method, forgetObjective]).toEqual(["gradient-difference", "own"]);
});

test("every method of the list goes by its name and links its paper", () => {
  for (const [key, { name, source }] of Object.entries(methods)) {
    expect(name).toBe(key);
    expect(source).toMatch(/^https:\/\/arxiv\.org\/abs\/\d{4}\.\d{5}$/);
  }
});
