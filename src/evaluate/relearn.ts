import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { StepFunction } from "../../converters/compile/step.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import { tf } from "../../converters/tf.ts";
import type { Dataset } from "../data/types.ts";
import type { NumberArray } from "../engine/engine.ts";
import { getEngine } from "../engine/index.ts";
import { behindPrefix, withPrefix } from "../prepare/frozen-prefix.ts";
import { rowsOf } from "../tasks/numbers.ts";
import { truthRows, truthSpec } from "../tasks/truth.ts";
import { inputColumns, inputShapes, inputSpecs } from "../unlearn/inputs.ts";
import { specsOf, trainableOf } from "../unlearn/model.ts";
import { inputKeys, mapValues, SCALAR, scalarOf } from "../unlearn/state.ts";
import { drawSubset } from "./membership.ts";

export interface RelearnOptions {
  /** Forget accuracy to reach, as a fraction. */
  readonly target: number;
  readonly lr: number;
  readonly batchSize: number;
  /** The test gives up after this number of steps. */
  readonly maxSteps: number;
  readonly seed: number;
  readonly threads?: number;
}

/** Result of training a model on the forget set until its accuracy there is back. */
export interface Relearning {
  /** Steps until the forget accuracy reached the target; null if it did not within `maxSteps`. */
  readonly steps: number | null;
  /** Forget accuracy before the first and after each step, on the measured samples. */
  readonly accuracy: readonly number[];
  /** Number of samples that the accuracy is measured on, a seeded draw from the forget set. */
  readonly measured: number;
}

/** Most samples that the accuracy is measured on; it is measured after every step, so more would be slow. */
const MEASURED = 256;

/**
 * Relearning test: plain gradient descent on the forget set with its own labels, counting the steps until the
 * forget accuracy reaches the target. A model that only hides its knowledge relearns in far fewer steps than
 * one that never saw the data.
 */
export async function relearn(
  file: TrainableModel,
  set: Dataset,
  { target, lr, batchSize, maxSteps, seed, threads }: RelearnOptions,
): Promise<Relearning> {
  const model = behindPrefix(file);
  const forget = await withPrefix(file, set);
  const { task, truth } = forget;
  const parameters = trainableOf(model);
  const weightSpecs = specsOf(parameters);
  const names = parameters.map(({ name }) => name);
  const n = model.batching.kind === "split" ? model.batching.size : Math.min(batchSize, forget.count);
  const inputs = inputShapes(model.inputs, [forget]);

  const step: StepFunction = (carry, batch) => {
    let logits: tf.Tensor | undefined;
    const { grads } = tf.valueAndGrads((...values: tf.Tensor[]) => {
      const weights = Object.fromEntries(names.map((name, i) => [name, values[i]!]));
      logits = tf.keep(model.apply(weights, inputKeys.read(batch)));
      return tf.mean(task.loss(logits, batch.labels!)) as tf.Scalar;
    })(names.map((name) => carry[name]!));
    // A step with lr = 0 changes nothing; it computes the logits only.
    const moved = names.map((name, i) => [name, tf.sub(carry[name]!, tf.mul(grads[i]!, batch.lr!))] as const);
    return { carry: Object.fromEntries(moved), results: { logits: logits! } };
  };
  const columns = inputColumns(inputs, forget);
  const engine = await getEngine("onnxruntime");
  const runner = await engine.prepare(
    step,
    Object.fromEntries(parameters.map(({ name, data }) => [name, { spec: weightSpecs[name]!, data }])),
    { ...inputSpecs(inputs, n), labels: truthSpec(truth, n), lr: SCALAR },
    { threads },
  );
  try {
    const run = async (rows: readonly number[], rate: number): Promise<NumberArray> => {
      const full = Array.from({ length: n }, (_, i) => rows[i % rows.length]!);
      const x = mapValues(columns, ({ data, width }) => rowsOf(data, width, full));
      const batch = { labels: truthRows(truth, full).data, lr: scalarOf(rate) };
      return (await runner.run({ ...batch, ...x })).logits!;
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
