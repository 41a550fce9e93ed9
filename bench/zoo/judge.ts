import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import type { StepFunction, TensorSpec } from "../../converters/compile/step.ts";
import { elementCount } from "../../converters/dims.ts";
import { notTrainable, OnnxUnlearnError } from "../../converters/errors.ts";
import { examine, saysMore } from "../../converters/examine.ts";
import { exportModel } from "../../converters/export/write.ts";
import { headCandidates } from "../../converters/import/head.ts";
import type { Head, TrainableModel } from "../../converters/import/model.ts";
import { normalizeGraph } from "../../converters/import/normalize.ts";
import { importModel } from "../../converters/importer.ts";
import type { OnnxModel } from "../../converters/onnx/model.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import { verifyLoads, verifyReadable, verifyStructure } from "../../src/case/verification.ts";
import type { Dataset } from "../../src/data/types.ts";
import { getEngine } from "../../src/engine/index.ts";
import { fromRuntime } from "../../src/engine/tensors.ts";
import { withOutputs, withPrefix } from "../../src/prepare/frozen-prefix.ts";
import * as ort from "../../src/runtime.ts";
import { ofClasses } from "../../src/tasks/classification.ts";
import { concreteDims, random, rows, type Samples, stack, synthesize, toOrt } from "./inputs.ts";

export interface Verdict {
  readonly verdict: "trainable" | "refused" | "failed";
  /** For "refused" the error message of the product; for "failed" what went wrong, a defect. */
  readonly reason?: string;
  readonly code?: string;
  readonly logits?: string;
  readonly batch?: number;
  /** max |a − b| / max(1, max |b|) between the imported graph and ONNX Runtime on the original file. */
  readonly parity?: number;
  /** Share of samples with the same top-1 class, for quantised models. */
  readonly agreement?: number;
  readonly lossBefore?: number;
  readonly lossAfter?: number;
  readonly changedTensors?: number;
  /** As `parity`, between the written file and the trained graph. */
  readonly writtenParity?: number;
}

/** A check of the zoo that failed: a defect of this program, not a property of the file. */
class Failure extends Error {}

const THREADS = 1;
/** Step lengths tried for the one training step. */
const STEPS = 20;
const EXTENTS = [16, 32, 64, 128, 224, 256, 512, 8, 4, 2, 1];
/** Batch size: enough to tell a correctly re-batched graph from a wrong one, and cheap. */
const batchesFor = (elements: number) => (elements > 200_000 ? [1] : elements > 20_000 ? [2, 1] : [4, 2, 1]);

/**
 * An ONNX Runtime session with `logits` as a further output. Not optimised: fusion could remove that value.
 */
async function openRuntime(source: OnnxModel, logits: string, folder: string): Promise<ort.InferenceSession> {
  const known = source.graph.outputs.some(({ name }) => name === logits);
  const bytes = known ? source.bytes : withOutputs(source.bytes, [logits]);
  for (const [side, data] of source.sideFiles ?? []) {
    mkdirSync(dirname(join(folder, side)), { recursive: true });
    writeFileSync(join(folder, side), data);
  }
  const path = join(folder, "tapped.onnx");
  writeFileSync(path, bytes);
  return ort.InferenceSession.create(path, { logSeverityLevel: 4, intraOpNumThreads: THREADS });
}

const runRuntime = async (session: ort.InferenceSession, samples: Samples, logits: string) => {
  const feeds = Object.fromEntries(Object.entries(samples).map(([name, sample]) => [name, toOrt(sample)]));
  const out = (await session.run(feeds, [logits]))[logits]!;
  return { values: Float64Array.from(fromRuntime(out)), dims: out.dims };
};

/** Runs the pieces of a batch one by one and concatenates the outputs. */
async function runParts(session: ort.InferenceSession, samples: Samples, parts: number, logits: string) {
  const outs: Float64Array[] = [];
  for (let i = 0; i < parts; i++)
    outs.push((await runRuntime(session, parts === 1 ? samples : rows(samples, i, parts), logits)).values);
  const values = new Float64Array(outs.reduce((n, o) => n + o.length, 0));
  outs.reduce((at, o) => {
    values.set(o, at);
    return at + o.length;
  }, 0);
  return values;
}

/**
 * Inputs that ONNX Runtime accepts, and its logits for them. A file with a fixed batch size is run piece by
 * piece and the outputs are concatenated; a training step on several samples at once must give the same.
 */
async function referenceRun(session: ort.InferenceSession, model: TrainableModel, logits: string) {
  const { inputs } = model.source.graph;
  const fixed = model.fixedBatch !== undefined;
  let lastError: unknown;
  for (const extent of EXTENTS) {
    const one = [...concreteDims(inputs, 1, extent).values()];
    const elements = one.reduce((sum, dims) => sum + elementCount(dims), 0);
    // A batch cut into pieces costs a copy of the graph for each of them.
    const pieces =
      model.batching.kind === "split" && inputs.length > 0
        ? [model.source.graph.nodes.length < 300 ? 2 : 1, 1]
        : undefined;
    for (const batch of pieces ?? batchesFor(elements)) {
      try {
        const draw = random(batch * 1000 + extent);
        const shapes = concreteDims(inputs, fixed ? 1 : batch, extent);
        const pieces = fixed
          ? Array.from({ length: batch }, () => synthesize(inputs, shapes, draw))
          : [synthesize(inputs, shapes, draw)];
        const { dims } = await runRuntime(session, pieces[0]!, logits);
        const samples = stack(pieces);
        return { samples, values: await runParts(session, samples, pieces.length, logits), batch, dims };
      } catch (error) {
        lastError = error;
      }
    }
  }
  throw notTrainable(
    "RUNTIME_REFUSED",
    `ONNX Runtime cannot run this model on any input tried: ${(lastError as Error).message.split("\n")[0]}`,
  );
}

/** max |a − b| / max(1, max |b|); infinite where one side is not finite and the other differs. */
function deviation(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  if (ours.length !== theirs.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  let largest = 1;
  for (let i = 0; i < theirs.length; i++) {
    const [a, b] = [ours[i]!, theirs[i]!];
    if (Number.isFinite(b)) largest = Math.max(largest, Math.abs(b));
    if (Object.is(a, b)) continue;
    const gap = Math.abs(a - b);
    worst = Number.isFinite(gap) ? Math.max(worst, gap) : Number.POSITIVE_INFINITY;
  }
  return worst / largest;
}

const top1 = (values: ArrayLike<number>, width: number) =>
  Array.from({ length: values.length / width }, (_, row) => {
    let best = 0;
    for (let i = 1; i < width; i++) if (values[row * width + i]! > values[row * width + best]!) best = i;
    return best;
  });

/**
 * The training step of the zoo, plain gradient descent. If the output looks like class scores ([batch, C]),
 * the loss is the cross-entropy towards the least likely class; else the mean squared distance to a changed
 * copy of the present output, divided by `scale`.
 */
function trainingStep(
  model: TrainableModel,
  names: readonly string[],
  scale: number | undefined,
): StepFunction {
  return (carry, batch) => {
    const inputs = Object.fromEntries(model.stepInputs.map(({ name }) => [name, batch[`x:${name}`]!]));
    let logits: tf.Tensor | undefined;
    const { value, grads } = tf.valueAndGrads((...values: tf.Tensor[]) => {
      const y = model.forward(Object.fromEntries(names.map((name, i) => [name, values[i]!])), inputs);
      logits = tf.keep(y.clone());
      const target = batch["target"]!;
      if (scale !== undefined) {
        // (y − t)² / scale is of the order of the output, so gradients neither overflow nor underflow
        // float32.
        const gap = tf.sub(y, target);
        return tf.mean(tf.mul(tf.div(gap, tf.scalar(scale)), gap)) as tf.Scalar;
      }
      const flat = tf.reshape(y, target.shape);
      return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(flat, -1), target), -1))) as tf.Scalar;
    })(names.map((name) => carry[name]!));
    // ‖g‖² = peak² · squares: the squared gradients of models filled with constants can leave float32's
    // range.
    const peak = grads.map((g) => tf.max(tf.abs(g))).reduce((a, b) => tf.maximum(a, b));
    const scaled = grads.map((g) => tf.div(g, tf.maximum(peak, tf.scalar(1e-37))));
    const squares = tf.addN(scaled.map((g) => tf.sum(tf.square(g))));
    const next = Object.fromEntries(
      names.map((name, i) => [name, tf.sub(carry[name]!, tf.mul(scaled[i]!, batch["length"]!))]),
    );
    return { carry: next, results: { loss: value, peak, squares, logits: logits! } };
  };
}

/** The target of a training step. */
interface Goal {
  /** Divisor of the squared distance; undefined for class scores, which take cross-entropy. */
  readonly scale: number | undefined;
  readonly target: Float32Array;
  readonly dims: readonly number[];
}

const largest = (values: ArrayLike<number>) => {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]!));
  return most;
};

/**
 * The target follows from the output alone. Class scores that differ: the least likely class. A constant
 * output (models filled with constants), whose elements can only change together, and the output of a
 * quantised model, which changes in large steps: raised by its largest magnitude, or by 1. Any other output:
 * half of itself.
 */
async function trainingGoal(
  values: Float64Array,
  width: number,
  batch: number,
  quantised: boolean,
  dims: () => Promise<readonly number[]>,
): Promise<Goal> {
  const size = Math.max(1, largest(values));
  const towards = async (move: (v: number) => number): Promise<Goal> => ({
    scale: 0.1 * size,
    target: Float32Array.from(values, move),
    dims: await dims(),
  });
  const isUniform = values.every((v, i) => Math.abs(v - values[i - (i % width)]!) <= 1e-7 * size);
  if (quantised || (isUniform && width > 1)) return towards((v) => v + size);
  if (width < 2 || values.length / width > 8 * batch) return towards((v) => v / 2);
  const target = new Float32Array(values.length);
  for (let row = 0; row < values.length; row += width) {
    let least = row;
    for (let i = row; i < row + width; i++) if (values[i]! < values[least]!) least = i;
    target[least] = 1;
  }
  return { scale: undefined, target, dims: [values.length / width, width] };
}

const spec = (dims: readonly number[], dtype: TensorSpec["dtype"]): TensorSpec => ({
  shape: [...dims],
  dtype,
});

/**
 * A value of the original file from which the logits can be checked: the logits themselves or, where the
 * importer has replaced the node that makes them, what follows.
 */
function observable(source: OnnxModel, { logits, output, outputKind }: Head): string {
  const inFile = new Set(source.graph.nodes.flatMap((node) => node.outputs));
  if (inFile.has(logits)) return logits;
  const isTensor = source.graph.outputs.some(({ name, dtype }) => name === output && dtype !== undefined);
  if (isTensor && outputKind !== "labels") return output;
  const { nodes } = normalizeGraph(source);
  let value = logits;
  for (;;) {
    const next = nodes.find((node) => node.inputs.includes(value) && node.opType !== "ArgMax");
    if (!next) return output;
    value = next.outputs[0]!;
    if (inFile.has(value)) return value;
  }
}

async function judgeHead(source: OnnxModel, wanted: string | undefined, folder: string): Promise<Verdict> {
  const options = wanted === undefined ? {} : { logits: wanted };
  const model = importModel(source, options);
  const logits = observable(source, model.head);
  const seen = logits === model.head.logits ? model : importModel(source, { logits });
  let session: ort.InferenceSession;
  try {
    session = await openRuntime(source, logits, folder);
  } catch (error) {
    throw new Failure(`ONNX Runtime refuses the tapped file: ${(error as Error).message}`);
  }
  const reference = await referenceRun(session, model, logits);
  const { samples, values, batch } = reference;

  const parameters = model.parameters.filter(({ trainable }) => trainable);
  const half = source.graph.inputs.some(({ dtype }) => dtype === "float16" || dtype === "bfloat16");
  const types = new Set(model.parameters.map(({ dtype }) => dtype));
  const tolerance = half || types.has("float16") || types.has("bfloat16") ? 1e-2 : 1e-4;
  const quantised = source.graph.nodes.some(({ opType }) =>
    /^(DequantizeLinear|QLinear.*|.*Integer|DynamicQuantize.*|QGemm)$/.test(opType),
  );

  const width = reference.dims.at(-1) ?? 1;
  const names = parameters.map(({ name }) => name);
  const prepared = async (of: TrainableModel, given: Samples): Promise<Dataset["inputs"]> => {
    const count = given[of.inputs[0]?.name ?? ""]?.dims[0] ?? batch;
    const set = { path: "", ...ofClasses(new Int32Array(count)), inputs: given };
    return (await withPrefix(of, set)).inputs;
  };
  const inputs = await prepared(model, samples);
  const xs = Object.fromEntries(model.stepInputs.map(({ name }) => [`x:${name}`, inputs[name]!]));
  const batchSpecs: Record<string, TensorSpec> = Object.fromEntries(
    Object.entries(xs).map(([key, { dims, data }]) => [
      key,
      spec(dims, data instanceof Float32Array ? "float32" : "int32"),
    ]),
  );
  const engine = await getEngine("onnxruntime");
  const carry = Object.fromEntries(
    parameters.map((p) => [p.name, { spec: spec(p.dims, "float32"), data: p.data }]),
  );
  const data = Object.fromEntries(Object.entries(xs).map(([key, s]) => [key, s.data]));

  // The forward pass is checked first: a wrong output explains more than a wrong step.
  const forward = await engine.prepare(
    (weights, given) => ({
      carry: weights,
      results: {
        logits: seen.forward(
          weights,
          Object.fromEntries(model.stepInputs.map(({ name }) => [name, given[`x:${name}`]!])),
        ),
      },
    }),
    carry,
    batchSpecs,
    { threads: THREADS },
  );
  const { logits: ours } = await forward.run(data);
  const parity = deviation(ours!, values);
  let agreement: number | undefined;
  if (quantised) {
    const draw = random(99);
    let [same, total] = [0, 0];
    for (let round = 0; round < 25; round++) {
      const shapes = new Map(Object.entries(samples).map(([name, s]) => [name, s.dims]));
      const more = synthesize(source.graph.inputs, shapes, draw);
      const parts = model.fixedBatch === undefined ? 1 : batch;
      const wantedValues = await runParts(session, more, parts, logits);
      const drawn = await prepared(model, more);
      const got = await forward.run(
        Object.fromEntries(model.stepInputs.map(({ name }) => [`x:${name}`, drawn[name]!.data])),
      );
      const [a, b] = [top1(got["logits"]!, width), top1(wantedValues, width)];
      total += b.length;
      same += b.filter((v, i) => v === a[i]).length;
    }
    agreement = same / total;
    if (agreement < 0.99)
      throw new Failure(`only ${(100 * agreement).toFixed(1)} % of the quantised model's top-1 are the same`);
  } else if (!(parity <= tolerance))
    throw new Failure(
      `outputs differ from ONNX Runtime's by ${parity.toExponential(2)} (tolerance ${tolerance}; ${ours!.length} and ${values.length} values)`,
    );
  await forward.dispose();

  const start = Object.fromEntries(parameters.map((p) => [p.name, p.data.slice()]));
  const descend = async (goal: Goal) => {
    const step = trainingStep(model, names, goal.scale);
    const specs = { ...batchSpecs, target: spec(goal.dims, "float32"), length: spec([], "float32") };
    const runner = await engine.prepare(step, carry, specs, { threads: THREADS });
    try {
      const at = async (length: number) =>
        runner.run({ ...data, target: goal.target, length: Float32Array.of(length) });
      const first = await at(0);
      const [lossBefore, peak, squares] = [first["loss"]![0]!, first["peak"]![0]!, first["squares"]![0]!];
      if (![lossBefore, peak, squares].every(Number.isFinite))
        throw new Failure(`the loss (${lossBefore}) or its gradient (largest element ${peak}) is not finite`);
      if (peak === 0) throw new Failure("the gradient of the loss is zero everywhere");
      // Polyak's step L/‖g‖² · g, halved until the loss falls. Quantised weights need several lengths: a
      // short step rounds to no change, a long one overshoots.
      let length = (0.5 * lossBefore) / (peak * squares);
      for (let attempt = 0; attempt < STEPS; attempt++, length /= 2) {
        await runner.write(start);
        await at(length);
        const trained = await runner.read();
        const after = await at(0);
        const lossAfter = after["loss"]![0]!;
        if (lossAfter < lossBefore) return { lossBefore, lossAfter, trained, logits: after["logits"]! };
      }
      throw new Failure(`no step lowers the loss of ${lossBefore}`);
    } finally {
      await runner.dispose();
    }
  };
  const goal = await trainingGoal(values, width, batch, quantised, () =>
    outputDims(model, batchSpecs, carry),
  );
  const { lossBefore, lossAfter, trained, logits: trainedLogits } = await descend(goal);

  const out = join(folder, "out");
  mkdirSync(out);
  const path = join(out, "model.onnx");
  const weights = new Map(names.map((name) => [name, trained[name] as Float32Array]));
  const { changed } = await exportModel(source, weights, path);
  const changedNames = changed.map(({ name }) => name);
  if (changed.length === 0) throw new Failure("the written file has no changed weight");
  const after = verifyReadable(() => loadModelFile(path));
  await verifyLoads(after);
  verifyStructure(source, after, changedNames);
  // The written file against the graph with the weights as written, that is rounded to their own type.
  const again = importModel(after, { logits });
  const writtenSession = await openRuntime(after, logits, join(folder, "out"));
  const parts = model.fixedBatch === undefined ? 1 : batch;
  const written = await runParts(writtenSession, samples, parts, logits);
  const rounded = parameters.some(({ dtype }) => dtype !== "float32");
  let check: ArrayLike<number> = trainedLogits;
  if (rounded || seen !== model) {
    const replay = await engine.prepare(
      (w, given) => ({
        carry: w,
        results: {
          logits: again.forward(
            w,
            Object.fromEntries(again.stepInputs.map(({ name }) => [name, given[`x:${name}`]!])),
          ),
        },
      }),
      Object.fromEntries(
        again.parameters
          .filter((p) => p.trainable)
          .map((p) => [p.name, { spec: spec(p.dims, "float32"), data: p.data }]),
      ),
      batchSpecs,
      { threads: THREADS },
    );
    check = (await replay.run(data))["logits"]!;
  }
  const writtenParity = deviation(check, written);
  if (!quantised && !(writtenParity <= tolerance))
    throw new Failure(
      `the written file's outputs differ from the trained graph's by ${writtenParity.toExponential(2)}`,
    );
  return {
    verdict: "trainable",
    logits: model.head.logits,
    batch,
    parity,
    ...(agreement === undefined ? {} : { agreement }),
    lossBefore,
    lossAfter,
    changedTensors: changed.length,
    writtenParity,
  };
}

async function outputDims(
  model: TrainableModel,
  batch: Record<string, TensorSpec>,
  carry: Record<string, { spec: TensorSpec }>,
): Promise<readonly number[]> {
  const { traceShapes } = await import("../../converters/compile/compile.ts");
  const { logits } = traceShapes(
    (weights, given) => ({
      carry: weights,
      results: {
        logits: model.forward(
          weights,
          Object.fromEntries(model.stepInputs.map(({ name }) => [name, given[`x:${name}`]!])),
        ),
      },
    }),
    { carry: Object.fromEntries(Object.entries(carry).map(([name, c]) => [name, c.spec])), batch },
  );
  return logits!.shape;
}

/**
 * All checks of the zoo on one file. If several outputs could be the logits, each is tried; one that can be
 * trained is enough.
 */
export async function judge(path: string): Promise<Verdict> {
  const refusal = (error: unknown): Verdict => {
    if (error instanceof OnnxUnlearnError && error.exitCode === 3)
      return { verdict: "refused", reason: error.message, code: error.code };
    const name = error instanceof OnnxUnlearnError ? `${error.code}: ` : "";
    const stack = error instanceof Failure ? "" : ` ${(error as Error).stack?.split("\n")[1]?.trim() ?? ""}`;
    return { verdict: "failed", reason: `${name}${(error as Error).message}${stack}` };
  };
  let source: OnnxModel;
  try {
    source = loadModelFile(path);
  } catch (error) {
    return refusal(error);
  }
  try {
    await (await ort.InferenceSession.create(path, { logSeverityLevel: 4 })).release();
  } catch (error) {
    // The importer's reason comes first, if it says more than that the file is broken.
    const own = examine(source).refusal;
    if (own && saysMore(own)) return { verdict: "refused", code: own.code, reason: own.message };
    return {
      verdict: "refused",
      code: "RUNTIME_REFUSED",
      reason: `ONNX Runtime cannot load the file: ${(error as Error).message.split("\n")[0]}`,
    };
  }
  const folder = mkdtempSync(join(tmpdir(), "onnx-unlearn-zoo-"));
  try {
    return await judgeHead(source, undefined, folder);
  } catch (error) {
    if (!(error instanceof OnnxUnlearnError && error.code === "LOGITS_AMBIGUOUS")) return refusal(error);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  let worst: Verdict | undefined;
  for (const { logits } of headCandidates(normalizeGraph(source))) {
    const trial = mkdtempSync(join(tmpdir(), "onnx-unlearn-zoo-"));
    try {
      return await judgeHead(source, logits, trial);
    } catch (error) {
      const verdict = refusal(error);
      if (!worst || verdict.verdict === "failed")
        worst = { ...verdict, reason: `--logits ${logits}: ${verdict.reason}` };
    } finally {
      rmSync(trial, { recursive: true, force: true });
    }
  }
  return worst!;
}
