import type { Head } from "../../converters/import/model.ts";
import type { OnnxModel, OnnxValueInfo } from "../../converters/onnx/model.ts";
import type { Dataset } from "../data/types.ts";
import { openFile } from "../engine/session.ts";
import { fromRuntime, toRuntime } from "../engine/tensors.ts";
import { refuseInterrupted } from "../interrupt.ts";
import type * as ort from "../runtime.ts";

export interface Prediction {
  readonly count: number;
  readonly classes: number;
  /** What the file's output holds, [count, classes], row-major. */
  readonly raw: Float32Array;
  /** Class probabilities [count, classes]; two classes where the model has one unit. Undefined where the file gives labels only. */
  readonly probabilities: Float32Array | undefined;
  readonly labels: Int32Array;
}

/** A model file, and how it is fed and read: what importing it found out. */
export interface FileInterface {
  readonly source: OnnxModel;
  readonly head: Head;
  readonly inputs: readonly OnnxValueInfo[];
  /** The batch size baked into the file; undefined if free. */
  readonly fixedBatch: number | undefined;
}

/**
 * What a file's output of this kind holds for these logits, [N, C] row-major: the head applied outside the graph.
 * "labels" has no such form and is not asked for.
 */
export function throughHead(logits: Float32Array, classes: number, kind: Head["outputKind"]): Float32Array {
  if (kind === "logits") return logits;
  if (kind === "sigmoid") return logits.map((v) => 1 / (1 + Math.exp(-v)));
  const out = new Float32Array(logits.length);
  for (let at = 0; at < logits.length; at += classes) {
    const row = logits.subarray(at, at + classes);
    const peak = Math.max(...row);
    const total = Math.log(row.reduce((sum, v) => sum + Math.exp(v - peak), 0)) + peak;
    row.forEach((v, i) => {
      out[at + i] = kind === "log-probabilities" ? v - total : Math.exp(v - total);
    });
  }
  return out;
}

/** Class probabilities behind a file's output; one unit stands for class 1 against class 0. */
function probabilitiesOf(raw: Float32Array, classes: number, kind: Head["outputKind"]): Float32Array {
  if (classes === 1) {
    const ones = kind === "logits" ? throughHead(raw, 1, "sigmoid") : raw;
    return Float32Array.from({ length: 2 * raw.length }, (_, i) =>
      i % 2 ? ones[i >> 1]! : 1 - ones[i >> 1]!,
    );
  }
  if (kind === "logits") return throughHead(raw, classes, "probabilities");
  return kind === "log-probabilities" ? raw.map(Math.exp) : raw;
}

/** Samples `from` … `from + count − 1` as a batch of `rows`, the rest of it zero. */
export function feedsOf(
  set: Dataset,
  inputs: readonly OnnxValueInfo[],
  { from, count, rows }: { readonly from: number; readonly count: number; readonly rows: number },
): Record<string, ort.Tensor> {
  const feeds: Record<string, ort.Tensor> = {};
  for (const { name, dtype } of inputs) {
    const { data, dims } = set.inputs[name]!;
    const width = dims.slice(1).reduce((a, b) => a * b, 1);
    const part = data.subarray(from * width, (from + count) * width);
    const whole =
      data instanceof Float32Array ? new Float32Array(rows * width) : new Int32Array(rows * width);
    whole.set(part);
    feeds[name] = toRuntime(whole, [rows, ...dims.slice(1)], dtype);
  }
  return feeds;
}

/** What a run of a file may be told. */
export interface RunOptions {
  /** Threads of ONNX Runtime. */
  readonly threads?: number;
  /** Stops between two batches. */
  readonly signal?: AbortSignal;
}

/**
 * Runs a model file in ONNX Runtime over a whole set. The last batch is padded where the file has a fixed batch.
 * @throws badInput RUNTIME_REFUSED where ONNX Runtime cannot load the file; INTERRUPTED
 */
export async function predict(
  model: FileInterface,
  set: Dataset,
  { threads, signal }: RunOptions = {},
): Promise<Prediction> {
  const session = await openFile(model.source, { threads });
  try {
    return await predictWith(session, model, set, signal);
  } finally {
    await session.release();
  }
}

/** As {@link predict}, in a session that is open already. */
export async function predictWith(
  session: ort.InferenceSession,
  { head, inputs, fixedBatch }: FileInterface,
  set: Dataset,
  signal?: AbortSignal,
): Promise<Prediction> {
  const size = fixedBatch ?? Math.min(256, set.count);
  let raw = new Float32Array(0);
  let classes = 0;
  for (let at = 0; at < set.count; at += size) {
    refuseInterrupted(signal);
    const n = Math.min(size, set.count - at);
    const rows = fixedBatch ?? n;
    const feeds = feedsOf(set, inputs, { from: at, count: n, rows });
    const out = (await session.run(feeds, [head.output]))[head.output]!;
    const values = fromRuntime(out);
    if (classes === 0) {
      classes = values.length / rows;
      raw = new Float32Array(set.count * classes);
    }
    raw.set(values.subarray(0, n * classes), at * classes);
  }
  if (head.outputKind === "labels")
    return { count: set.count, classes: 1, raw, probabilities: undefined, labels: Int32Array.from(raw) };
  const probabilities = probabilitiesOf(raw, classes, head.outputKind);
  const width = classes === 1 ? 2 : classes;
  // Rounding makes saturated probabilities equal; the raw output still tells them apart.
  const scores = classes === 1 ? probabilities : raw;
  const labels = Int32Array.from({ length: set.count }, (_, i) => {
    const row = scores.subarray(i * width, (i + 1) * width);
    return row.indexOf(Math.max(...row));
  });
  return { count: set.count, classes: width, raw, probabilities, labels };
}
