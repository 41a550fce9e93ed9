import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, test } from "vitest";
import { compileStep } from "../../../converters/compile/compile.ts";
import { importModel } from "../../../converters/importer.ts";
import { loadModelFile } from "../../../converters/onnx/read.ts";
import type { Dataset } from "../../../src/data/types.ts";
import type { EngineName } from "../../../src/engine/engine.ts";
import { getEngine } from "../../../src/engine/index.ts";
import { ofClasses } from "../../../src/tasks/classification.ts";
import { methods } from "../../../src/unlearn/methods/index.ts";
import { saliencyMasks } from "../../../src/unlearn/saliency.ts";
import { riseOf, type StepOptions, startOfDual, wholeBatchStep } from "../../../src/unlearn/step.ts";
import type { Method } from "../../../src/unlearn/types.ts";
import { installed } from "../engine/installed.ts";
import {
  contextFor,
  fixtures,
  type GivenContext,
  prepareStep,
  readFixture,
  relativeDistance,
  scalarsOf,
} from "./harness.ts";

interface Steps {
  readonly lr: number;
  readonly momentum: number;
  readonly weightDecay: number;
  readonly beta: number;
  readonly classes: number;
  readonly shape: readonly number[];
  readonly batches: readonly Readonly<
    Record<"x" | "labels" | "forget" | "retain" | "teacher", readonly number[]>
  >[];
  readonly saliency: Readonly<Record<string, readonly number[]>>;
  readonly cases: readonly {
    readonly method: Method;
    readonly dual: "adam" | "ascent";
    readonly epsilon: number;
    readonly lambda: number;
    readonly ledger: readonly {
      readonly forgetLoss: number;
      readonly retainLoss: number;
      readonly rise: number | null;
      readonly lambda: number;
    }[];
    readonly weights: Readonly<Record<string, readonly number[]>>;
  }[];
}

const recorded = readFixture<Steps>("steps.json");
const model = importModel(loadModelFile(join(fixtures, "small.onnx")));
const [n] = recorded.shape as [number];
const vector = { shape: [n], dtype: "float32" } as const;
const trainable = model.parameters.filter((p) => p.trainable);
const weights = Object.fromEntries(trainable.map(({ name, dims, data }) => [name, { shape: dims, data }]));
const specs = {
  "x:input": { shape: recorded.shape, dtype: "float32" },
  labels: { shape: [n], dtype: "int32" },
  forgetMask: vector,
  retainMask: vector,
  teacher: { shape: [n, recorded.classes], dtype: "float32" },
} as const;
const contextOf = (options: Partial<StepOptions>) => ({
  apply: model.apply,
  trainable: trainable.map(({ name }) => name),
  options: {
    dual: "adam",
    beta: recorded.beta,
    momentum: recorded.momentum,
    weightDecay: recorded.weightDecay,
    ...options,
  } as const,
});
const arrays = ({ x, labels, forget, retain, teacher }: Steps["batches"][number]) => ({
  "x:input": Float32Array.from(x),
  labels: Int32Array.from(labels),
  forgetMask: Float32Array.from(forget),
  retainMask: Float32Array.from(retain),
  teacher: Float32Array.from(teacher),
});

test("every method but the masked one has its PyTorch record", () => {
  const methodsRecorded = new Set(recorded.cases.map(({ method }) => method));
  expect(Object.keys(methods).filter((name) => !methodsRecorded.has(name as Method))).toEqual(["salun"]);
});

const eager = await installed("cpu", "tensorflow");

/** The same batch, its retained samples in front: no loss hangs on the order. */
function sorted(batch: Steps["batches"][number]): Steps["batches"][number] {
  const rows = [...batch.retain.keys()].sort((a, b) => batch.retain[b]! - batch.retain[a]!);
  const order = (values: readonly number[]) => {
    const width = values.length / n;
    return rows.flatMap((row) => values.slice(row * width, (row + 1) * width));
  };
  const { x, labels, forget, retain, teacher } = batch;
  return {
    ...{ x: order(x), labels: order(labels), teacher: order(teacher) },
    ...{ forget: order(forget), retain: order(retain) },
  };
}
const retainRows = Math.max(
  ...recorded.batches.map(({ retain }) => retain.filter((mask) => mask > 0).length),
);

/** A method's three steps against those of PyTorch. */
async function takesTheSteps(
  engine: EngineName,
  { method, dual, epsilon, lambda, ledger, weights: after }: Steps["cases"][number],
  batches: Steps["batches"],
  given: Partial<GivenContext> = {},
) {
  const runner = await prepareStep({
    method,
    context: { ...contextOf({ dual, ...(lambda === 0 ? {} : { lambda }) }), ...given },
    weights,
    batch: specs,
    engine,
  });
  for (const [t, batch] of batches.entries()) {
    const out = await runner.run({
      ...arrays(batch),
      ...scalarsOf(recorded.lr, epsilon, t / batches.length),
    });
    const reference = ledger[t]!;
    // Gradient ascent watches its own loss, which PyTorch's record does not hold.
    for (const key of ["forgetLoss", "retainLoss", "lambda"] as const)
      if (!(method === "gradient-ascent" && key === "forgetLoss"))
        expect(Math.abs(out[key]![0]! - reference[key]), `${key} of step ${t}`).toBeLessThanOrEqual(
          2e-4 * Math.max(1, Math.abs(reference[key])),
        );
    if (reference.rise !== null)
      expect(Math.abs(out["rise"]![0]! - reference.rise), `rise of step ${t}`).toBeLessThanOrEqual(1e-4);
  }
  const carry = await runner.read();
  await runner.dispose();
  for (const { name, data } of trainable) {
    const moved = (values: ArrayLike<number>) => Array.from(values, (v, i) => v - data[i]!);
    const reference = moved(after[name]!);
    expect(Math.hypot(...reference), name).toBeGreaterThan(0);
    expect(relativeDistance(moved(carry[`p:${name}`]!), reference), name).toBeLessThanOrEqual(1e-3);
  }
}

describe.each([...eager, "onnxruntime"] as const)("on %s", (engine) => {
  test.each(recorded.cases)("$method, dual $dual: three steps as PyTorch in float64", (wanted) =>
    takesTheSteps(engine, wanted, recorded.batches),
  );

  test.each(recorded.cases.filter(({ method }) => riseOf(methods[method]) === "second-forward"))(
    "$method, dual $dual: the same where the rise is measured on the first rows, which hold all retained samples",
    async (wanted) => {
      const rows: number[] = [];
      expect(retainRows).toBeLessThan(n);
      await takesTheSteps(engine, wanted, recorded.batches.map(sorted), {
        retainRows,
        apply: (at, inputs) => {
          rows.push(inputs["input"]!.shape[0]!);
          return model.apply(at, inputs);
        },
      });
      expect(new Set(rows)).toEqual(new Set([n, retainRows]));
    },
  );
});

test("the saliency mask is PyTorch's", async () => {
  const [first] = recorded.batches;
  const set: Dataset = {
    path: "batch 0",
    ...ofClasses(Int32Array.from(first!.labels)),
    inputs: { input: { data: Float32Array.from(first!.x), dims: recorded.shape } },
  };
  const shape = recorded.shape.slice(1);
  const inputs = [
    { name: "input", shape, size: shape.reduce((a, b) => a * b, 1), dtype: "float32" as const },
  ];
  // Five rows at a time: the gradient adds up over batches, the last one is filled up.
  const masks = await saliencyMasks({
    ...{ model, engine: await getEngine("onnxruntime"), inputs, rows: 5, threads: 1 },
    ...{ forget: set, share: 0.5 },
  });
  for (const [name, wanted] of Object.entries(recorded.saliency))
    expect([...masks[name]!], name).toEqual(wanted);
});

describe.each(eager)("a batch without one side, on %s", (engine) => {
  const [first] = recorded.batches;
  const none = new Float32Array(n);
  const ones = new Float32Array(n).fill(1);
  const run = async (method: Method, forgetMask: Float32Array, retainMask: Float32Array) => {
    const runner = await prepareStep({
      method,
      context: contextOf({ momentum: 0, weightDecay: 0, lambda: 0.5 }),
      weights,
      batch: specs,
      engine,
    });
    const out = await runner.run({ ...arrays(first!), forgetMask, retainMask, ...scalarsOf(0.05, -0.01) });
    const carry = await runner.read();
    await runner.dispose();
    return {
      out,
      carry,
      moved: trainable.some(({ name, data }) => carry[`p:${name}`]!.some((v, i) => v !== data[i])),
    };
  };

  test.each(Object.keys(methods) as Method[])("%s: all numbers stay finite", async (method) => {
    for (const [forget, retain] of [
      [ones, none],
      [none, ones],
      [none, none],
    ] as const) {
      const { out, carry, moved } = await run(method, forget, retain);
      expect(Object.values(out).every((v) => v.every(Number.isFinite))).toBe(true);
      expect(Object.values(carry).every((v) => v.every(Number.isFinite))).toBe(true);
      // A batch of neither teaches nothing; ‖θ‖₁ alone still pulls.
      if (forget === none && retain === none) expect(moved).toBe(method === "l1-sparse");
    }
  });

  test.each<Method>(["eupmu", "eupmu-fast"])(
    "%s: λ does not move without retained samples, nor do its moments",
    async (method) => {
      const { carry, out } = await run(method, ones, none);
      expect(carry["dual:lambda"]![0]).toBe(0.5);
      expect(carry["dual:m"]![0]).toBe(0);
      expect(out["hasRise"]![0]).toBe(0);
      expect(Math.abs(out["rise"]![0]!)).toBe(0);
    },
  );

  test("eupmu: without retained samples it is a step on log L_f, without forget samples one on λ log L_r", async () => {
    const stepOn = async (side: Float32Array, weight: number) => {
      const labels = tf.tensor1d(Int32Array.from(first!.labels), "int32");
      const x = tf.tensor(Float32Array.from(first!.x), [...recorded.shape]);
      const { grads } = tf.valueAndGrads((...values: tf.Tensor[]) => {
        const logits = model.apply(Object.fromEntries(trainable.map(({ name }, i) => [name, values[i]!])), {
          input: x,
        });
        const chosen = tf.sum(tf.mul(tf.logSoftmax(logits), tf.oneHot(labels, recorded.classes)), 1);
        const loss = tf.neg(tf.mean(tf.mul(chosen, tf.tensor1d(side))));
        return tf.mul(tf.log(tf.add(loss, 1e-8)), weight) as tf.Scalar;
      })(trainable.map(({ data, dims }) => tf.tensor(data, [...dims])));
      return Object.fromEntries(
        trainable.map(({ name, data }, i) => [name, data.map((v, j) => v - 0.05 * grads[i]!.dataSync()[j]!)]),
      );
    };
    for (const [forget, retain, weight] of [
      [ones, none, 1],
      [none, ones, 0.5],
    ] as const) {
      const { carry } = await run("eupmu", forget, retain);
      const wanted = await stepOn(ones, weight);
      for (const { name, data } of trainable)
        expect(
          relativeDistance(
            carry[`p:${name}`]!.map((v, i) => v - data[i]!),
            wanted[name]!.map((v, i) => v - data[i]!),
          ),
          name,
        ).toBeLessThanOrEqual(1e-4);
    }
  });
});

describe("backward passes in the compiled graph", () => {
  // A filter gradient is one kernel call per use of a convolution's weight and backward pass, whatever nodes
  // it is lowered to.
  const recordedCalls = (method: Method): number => {
    const kernelName = "OnnxConvFilterGrad";
    const lowering = tf.getKernel(kernelName, "onnx")!;
    let calls = 0;
    tf.unregisterKernel(kernelName, "onnx");
    tf.registerKernel({
      ...lowering,
      kernelFunc: (given) => {
        calls++;
        return lowering.kernelFunc(given);
      },
    });
    try {
      const scalar = { shape: [], dtype: "float32" } as const;
      const options = contextOf({ momentum: 0, weightDecay: 0 });
      const carry = Object.fromEntries([
        ...trainable.map(({ name, dims }) => [`p:${name}`, { shape: dims, dtype: "float32" }] as const),
        ...Object.keys(startOfDual(methods[method], options.options)).map(
          (name) => [`dual:${name}`, scalar] as const,
        ),
      ]);
      compileStep(wholeBatchStep(contextFor(method, options)), {
        carry,
        batch: { ...specs, lr: scalar, epsilon: scalar, progress: scalar },
      });
    } finally {
      tf.unregisterKernel(kernelName, "onnx");
      tf.registerKernel(lowering);
    }
    return calls;
  };
  const convolutions = 2;
  test.each(Object.keys(methods) as Method[])("%s", (method) => {
    const passes = method === "explicit" || method === "pcgrad" ? 2 : 1;
    expect(recordedCalls(method)).toBe(passes * convolutions);
  });

  test("dense layers: matrix products that a second one adds to the emitted nodes", () => {
    const D = [6, 5, 3] as const;
    const products = (method: Method, layers: 1 | 2) => {
      const scalar = { shape: [], dtype: "float32" } as const;
      const options = { dual: "ascent", beta: 1, momentum: 0, weightDecay: 0 } as const;
      const names = layers === 1 ? ["a"] : ["a", "b"];
      const { nodeCounts } = compileStep(
        wholeBatchStep(
          contextFor(method, {
            apply: (weights, { x }) =>
              names
                .map((name) => weights[name] as tf.Tensor2D)
                .reduce((h, weight) => tf.matMul(tf.tanh(h), weight), x as tf.Tensor2D),
            trainable: names,
            options,
          }),
        ),
        {
          carry: {
            ...Object.fromEntries(
              names.map((name, i) => [`p:${name}`, { shape: [D[i]!, D[i + 1]!], dtype: "float32" } as const]),
            ),
            ...Object.fromEntries(
              Object.keys(startOfDual(methods[method], options)).map((name) => [`dual:${name}`, scalar]),
            ),
          },
          batch: {
            "x:x": { shape: [n, D[0]], dtype: "float32" },
            labels: { shape: [n], dtype: "int32" },
            forgetMask: vector,
            retainMask: vector,
            lr: scalar,
            epsilon: scalar,
            progress: scalar,
          },
        },
      );
      return (nodeCounts["MatMul"] ?? 0) + (nodeCounts["FusedMatMul"] ?? 0) + (nodeCounts["Gemm"] ?? 0);
    };
    const added = (method: Method) => products(method, 2) - products(method, 1);
    // Forward; backward: the gradients of the weight and of what goes in.
    expect(added("finetune")).toBe(1 + 2);
    // The forward that measures the rise: one more. The fast variant has none.
    expect(added("eupmu")).toBe(1 + 2 + 1);
    expect(added("eupmu-fast")).toBe(1 + 2);
    // Two backward passes share one forward.
    expect(added("explicit")).toBe(1 + 2 * 2 + 1);
    expect(added("pcgrad")).toBe(1 + 2 * 2);
  });
});
