import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { StepFunction, TensorSpec } from "../../converters/compile/step.ts";
import { elementCount } from "../../converters/dims.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import { tf } from "../../converters/tf.ts";
import type { Dataset } from "../data/types.ts";
import type { NumberArray } from "../engine/engine.ts";
import { getEngine } from "../engine/index.ts";
import { behindPrefix, withPrefix } from "../prepare/frozen-prefix.ts";
import { rowsOf } from "../tasks/numbers.ts";
import { truthRows, truthSpec } from "../tasks/truth.ts";
import { drawSubset } from "./membership.ts";

export interface RelearnOptions {
  /** Forget accuracy to reach, as a fraction. */
  readonly target: number;
  readonly lr: number;
  readonly batchSize: number;
  /** Gives up after so many steps. */
  readonly maxSteps: number;
  readonly seed: number;
  readonly threads?: number;
}

/** Training a model on the forget set until it knows it again. */
export interface Relearning {
  /** Steps until the forget accuracy reached the target; null where it did not within `maxSteps`. */
  readonly steps: number | null;
  /** Forget accuracy before the first and after each step, on the measured samples. */
  readonly accuracy: readonly number[];
  /** Samples the accuracy is measured on: a seeded draw from the forget set. */
  readonly measured: number;
}

/** Accuracy is measured after every step: more samples would cost more than the step. */
const MEASURED = 256;

/**
 * Relearning test: plain gradient descent on the forget set's own labels, counting steps until its accuracy
 * is back. A model that only hides what it knows relearns in far fewer steps than one that never saw the
 * data.
 */
export async function relearn(
  file: TrainableModel,
  set: Dataset,
  { target, lr, batchSize, maxSteps, seed, threads }: RelearnOptions,
): Promise<Relearning> {
  const model = behindPrefix(file);
  const forget = await withPrefix(file, set);
  const { task, truth } = forget;
  const parameters = model.parameters.filter(({ trainable }) => trainable);
  const names = parameters.map(({ name }) => name);
  const n = model.batching.kind === "split" ? model.batching.size : Math.min(batchSize, forget.count);
  const inputs = model.inputs.map(({ name }) => {
    const { data, dims } = forget.inputs[name]!;
    const shape = dims.slice(1);
    return { name, data, shape, size: elementCount(shape) };
  });

  const step: StepFunction = (carry, batch) => {
    let logits: tf.Tensor | undefined;
    const { grads } = tf.valueAndGrads((...values: tf.Tensor[]) => {
      const weights = Object.fromEntries(names.map((name, i) => [name, values[i]!]));
      const feeds = Object.fromEntries(inputs.map(({ name }) => [name, batch[`x:${name}`]!]));
      logits = tf.keep(model.apply(weights, feeds));
      return tf.mean(task.loss(logits, batch.labels!)) as tf.Scalar;
    })(names.map((name) => carry[name]!));
    // With lr = 0 a step only measures.
    const moved = names.map((name, i) => [name, tf.sub(carry[name]!, tf.mul(grads[i]!, batch.lr!))] as const);
    return { carry: Object.fromEntries(moved), results: { logits: logits! } };
  };
  const batchSpecs: Record<string, TensorSpec> = {
    ...Object.fromEntries(
      inputs.map(({ name, shape, data }) => [
        `x:${name}`,
        { shape: [n, ...shape], dtype: data instanceof Float32Array ? "float32" : "int32" } as TensorSpec,
      ]),
    ),
    labels: truthSpec(truth, n),
    lr: { shape: [], dtype: "float32" },
  };
  const engine = await getEngine("onnxruntime");
  const runner = await engine.prepare(
    step,
    Object.fromEntries(
      parameters.map(({ name, dims, data }) => [
        name,
        { spec: { shape: dims, dtype: "float32" as const }, data },
      ]),
    ),
    batchSpecs,
    threads === undefined ? {} : { threads },
  );
  try {
    const run = async (rows: readonly number[], rate: number): Promise<NumberArray> => {
      const full = Array.from({ length: n }, (_, i) => rows[i % rows.length]!);
      const x = inputs.map(({ name, data, size }) => [`x:${name}`, rowsOf(data, size, full)] as const);
      const batch = { labels: truthRows(truth, full).data, lr: Float32Array.of(rate) };
      return (await runner.run({ ...batch, ...Object.fromEntries(x) })).logits!;
    };
    const measured = drawSubset(forget.count, Math.min(MEASURED, forget.count), seed);
    const accuracyNow = async (): Promise<number> => {
      let right = 0;
      for (let at = 0; at < measured.length; at += n) {
        const rows = measured.slice(at, at + n);
        const logits = await run(rows, 0);
        const raw = logits.subarray(0, rows.length * (logits.length / n)) as Float32Array;
        const outputs = { count: rows.length, raw, kind: "logits" } as const;
        right += task.measure(outputs, truthRows(truth, rows)).accuracy!.reduce((a, b) => a + b, 0);
      }
      return right / measured.length;
    };
    const random = xoroshiro128plus(seed);
    const accuracy = [await accuracyNow()];
    for (let taken = 0; taken <= maxSteps; taken++) {
      if (accuracy[taken]! >= target) return { steps: taken, accuracy, measured: measured.length };
      if (taken === maxSteps) break;
      const rows = Array.from({ length: n }, () =>
        Math.floor(((random.next() >>> 0) / 2 ** 32) * forget.count),
      );
      await run(rows, lr);
      accuracy.push(await accuracyNow());
    }
    return { steps: null, accuracy, measured: measured.length };
  } finally {
    await runner.dispose();
  }
}
