import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { TensorSpec } from "../../converters/compile/step.ts";
import { badInput, gateFailed, OnnxUnlearnError } from "../../converters/errors.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import type { NumberArray } from "../engine/engine.ts";
import { getEngine } from "../engine/index.ts";
import { resultSpecs } from "../engine/shapes.ts";
import { methods } from "./methods/index.ts";
import type { Dataset, LedgerEntry, TrainingProgress, TrainingResult, UnlearnOptions } from "./types.ts";

/** Shape of one sample, however the data set states it. */
function sampleShape(dataset: Dataset, name: string, rank: number | undefined): readonly number[] {
  const input = dataset.inputs[name];
  if (!input) throw badInput("INPUT_MISSING", `${dataset.path} has no values for the model input "${name}"`);
  const { data, dims } = input;
  const whole =
    rank === undefined
      ? dims[0] === dataset.count && dims.reduce((a, b) => a * b, 1) === data.length
      : dims.length === rank;
  const shape = whole ? dims.slice(1) : dims;
  if (shape.reduce((a, b) => a * b, 1) * dataset.count !== data.length)
    throw badInput(
      "INPUT_SHAPE",
      `${dataset.path}: input "${name}" holds ${data.length} values, which is not ${dataset.count} samples of shape [${shape}]`,
    );
  return shape;
}

/**
 * Runs one unlearning method over the seeded shuffle of D_f ∪ D_r (METHOD section 3) and hands back the trained weights.
 * One compile per run: the last batch of an epoch is filled up with repeated samples that both masks leave out.
 * The same seed, threads, versions and CPU kind give the same bytes.
 * @throws OnnxUnlearnError DIVERGED (exit 1) where a loss is no longer finite, INTERRUPTED (exit 130) on abort,
 *   INPUT_MISSING, INPUT_SHAPE, NO_SAMPLES, NOTHING_TO_TRAIN, LABEL_RANGE (exit 2)
 */
export async function train(
  model: TrainableModel,
  forget: Dataset,
  retain: Dataset,
  options: UnlearnOptions,
  onProgress?: (progress: TrainingProgress) => void,
  signal?: AbortSignal,
): Promise<TrainingResult> {
  const started = performance.now();
  const method = methods[options.method];
  const parameters = model.parameters.filter(({ trainable }) => trainable);
  if (parameters.length === 0) throw badInput("NOTHING_TO_TRAIN", "no weight of this model is trainable");
  const start = new Map(parameters.map(({ name, data }) => [name, data.slice()]));
  const samples = [
    ...(method.uses.forget ? Array.from({ length: forget.count }, (_, i) => ({ set: forget, i })) : []),
    ...(method.uses.retain ? Array.from({ length: retain.count }, (_, i) => ({ set: retain, i })) : []),
  ];
  const lambdaStart = method.dual(options).lambda ?? 0;
  if (options.epochs === 0)
    return {
      weights: start,
      ledger: [],
      lambda: lambdaStart,
      steps: 0,
      seconds: (performance.now() - started) / 1000,
      compileSeconds: 0,
      samplesPerSecond: 0,
    };
  if (samples.length === 0)
    throw badInput("NO_SAMPLES", `method ${options.method} has no samples to train on`);

  const n = Math.min(options.batchSize, samples.length);
  const used = samples[0]!.set;
  const inputs = model.inputs.map(({ name, dims }) => {
    const shape = sampleShape(used, name, dims?.length);
    const last = samples[samples.length - 1]!.set;
    if (sampleShape(last, name, dims?.length).join() !== shape.join())
      throw badInput(
        "INPUT_SHAPE",
        `${forget.path} and ${retain.path} disagree on the shape of input "${name}"`,
      );
    const integer = used.inputs[name]!.data instanceof Int32Array;
    return {
      name,
      size: shape.reduce((a, b) => a * b, 1),
      shape,
      dtype: integer ? "int32" : "float32",
    } as const;
  });
  const xSpecs = (rows: number): Record<string, TensorSpec> =>
    Object.fromEntries(
      inputs.map(({ name, shape, dtype }) => [`x:${name}`, { shape: [rows, ...shape], dtype }]),
    );
  const batchSpecs: Record<string, TensorSpec> = {
    ...xSpecs(n),
    labels: { shape: [n], dtype: "int32" },
    forgetMask: { shape: [n], dtype: "float32" },
    retainMask: { shape: [n], dtype: "float32" },
    lr: { shape: [], dtype: "float32" },
    epsilon: { shape: [], dtype: "float32" },
  };

  const specs = Object.fromEntries(
    parameters.map(({ name, dims }) => [name, { shape: dims, dtype: "float32" } as TensorSpec]),
  );
  const { logits } = resultSpecs(
    (weights, batch) => ({
      carry: weights,
      results: {
        logits: model.apply(
          weights,
          Object.fromEntries(Object.entries(batch).map(([key, tensor]) => [key.slice(2), tensor])),
        ),
      },
    }),
    { carry: specs, batch: xSpecs(n) },
  );
  const classes = Math.max(2, logits!.shape[1] ?? 1);
  for (const { set, i } of samples) {
    const label = set.labels[i]!;
    if (label < 0 || label >= classes)
      throw badInput(
        "LABEL_RANGE",
        `${set.path}: sample ${i} has label ${label}, but the model has ${classes} classes`,
      );
  }

  const carry: Record<string, { spec: TensorSpec; data: NumberArray }> = {};
  for (const { name, data } of parameters) {
    const spec = specs[name]!;
    carry[`p:${name}`] = { spec, data };
    if (options.momentum !== 0) carry[`v:${name}`] = { spec, data: new Float32Array(data.length) };
  }
  for (const [name, value] of Object.entries(method.dual(options)))
    carry[`dual:${name}`] = { spec: { shape: [], dtype: "float32" }, data: Float32Array.of(value) };

  const engine = await getEngine(options.engine);
  const step = method.step({ apply: model.apply, trainable: parameters.map(({ name }) => name), options });
  const runner = await engine.prepare(
    step,
    carry,
    batchSpecs,
    options.threads === undefined ? {} : { threads: options.threads },
  );
  const training = performance.now();
  const ledger: LedgerEntry[] = [];
  let lambdaUsed = 0;
  try {
    const rng = xoroshiro128plus(options.seed);
    const draw = (from: number, to: number) => uniformInt(rng, from, to);
    const perEpoch = Math.ceil(samples.length / n);
    const steps = perEpoch * options.epochs;
    const redraws = method.objective(options).redrawsLabels;
    const order = samples.map((_, i) => i);
    const batch: Record<string, NumberArray> = {
      labels: new Int32Array(n),
      forgetMask: new Float32Array(n),
      retainMask: new Float32Array(n),
      lr: Float32Array.of(options.lr),
      epsilon: Float32Array.of(options.epsilon),
    };
    for (const { name, size, dtype } of inputs)
      batch[`x:${name}`] = dtype === "int32" ? new Int32Array(n * size) : new Float32Array(n * size);

    for (let epoch = 0; epoch < options.epochs; epoch++) {
      const redrawn = redraws
        ? Int32Array.from({ length: forget.count }, () => draw(0, classes - 1))
        : forget.labels;
      for (let i = order.length - 1; i > 0; i--) {
        const j = draw(0, i);
        [order[i], order[j]] = [order[j]!, order[i]!];
      }
      for (let at = 0; at < order.length; at += n) {
        if (signal?.aborted)
          throw new OnnxUnlearnError("INTERRUPTED", "interrupted; nothing was written", 130);
        for (let row = 0; row < n; row++) {
          const valid = at + row < order.length;
          const { set, i } = samples[order[valid ? at + row : at]!]!;
          const forgets = set === forget && method.uses.forget;
          batch.labels![row] = forgets ? redrawn[i]! : set.labels[i]!;
          batch.forgetMask![row] = valid && forgets ? 1 : 0;
          batch.retainMask![row] = valid && !forgets ? 1 : 0;
          for (const { name, size } of inputs)
            batch[`x:${name}`]!.set(set.inputs[name]!.data.subarray(i * size, (i + 1) * size), row * size);
        }
        const out = await runner.run(batch);
        const scalar = (key: string) => out[key]?.[0] ?? 0;
        const number = ledger.length + 1;
        const values = ["forgetLoss", "retainLoss", "rise", "lambda"].map(scalar);
        if (!values.every(Number.isFinite))
          throw gateFailed(
            "DIVERGED",
            `a loss is no longer finite at step ${number} of ${steps} (method ${options.method}, lr ${options.lr}); try a lower --lr`,
          );
        lambdaUsed = scalar("lambda");
        const entry: LedgerEntry = {
          step: number,
          forgetLoss: scalar("hasForget") > 0 ? scalar("forgetLoss") : null,
          retainLoss: scalar("hasRetain") > 0 ? scalar("retainLoss") : null,
          rise: scalar("hasRise") > 0 ? scalar("rise") : null,
          epsilon: options.epsilon,
          lambda: lambdaUsed,
        };
        ledger.push(entry);
        onProgress?.({ step: number, steps, epoch: epoch + 1, epochs: options.epochs, entry });
      }
    }
    const seconds = (performance.now() - training) / 1000;
    const final = await runner.read();
    const weights = new Map(parameters.map(({ name }) => [name, final[`p:${name}`] as Float32Array]));
    for (const [name, values] of weights)
      if (!values.every(Number.isFinite))
        throw gateFailed(
          "DIVERGED",
          `weight "${name}" is no longer finite after step ${steps} of ${steps}; try a lower --lr`,
        );
    return {
      weights,
      ledger,
      lambda: final["dual:lambda"]?.[0] ?? lambdaUsed,
      steps,
      seconds: (performance.now() - started) / 1000,
      compileSeconds: runner.compileSeconds,
      samplesPerSecond: (samples.length * options.epochs) / seconds,
    };
  } finally {
    await runner.dispose();
  }
}
