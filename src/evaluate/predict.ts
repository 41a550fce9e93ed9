import { elementCount } from "../../converters/dims.ts";
import type { Head } from "../../converters/import/model.ts";
import type { OnnxModel, OnnxValueInfo } from "../../converters/onnx/model.ts";
import type { Dataset } from "../data/types.ts";
import { openFile } from "../engine/session.ts";
import { fromRuntime, toRuntime } from "../engine/tensors.ts";
import { refuseInterrupted } from "../interrupt.ts";
import type * as ort from "../runtime.ts";
import type { Outputs } from "../tasks/task.ts";

/** A model file with its inputs, its output, and its batch size, as the importer found them. */
export interface FileInterface {
  readonly source: OnnxModel;
  readonly head: Head;
  readonly inputs: readonly OnnxValueInfo[];
  /** The batch size that the file prescribes; undefined if any is allowed. */
  readonly fixedBatch: number | undefined;
}

/**
 * Input tensors of `count` samples, the first of them `from`, as a batch of `rows`; the other rows are zero.
 */
export function feedsOf(
  set: Dataset,
  inputs: readonly OnnxValueInfo[],
  { from, count, rows }: { readonly from: number; readonly count: number; readonly rows: number },
): Record<string, ort.Tensor> {
  const feeds: Record<string, ort.Tensor> = {};
  for (const { name, dtype } of inputs) {
    const { data, dims } = set.inputs[name]!;
    const width = elementCount(dims.slice(1));
    const part = data.subarray(from * width, (from + count) * width);
    const whole =
      data instanceof Float32Array ? new Float32Array(rows * width) : new Int32Array(rows * width);
    whole.set(part);
    feeds[name] = toRuntime(whole, [rows, ...dims.slice(1)], dtype);
  }
  return feeds;
}

/** Options of a run of a model file. */
export interface RunOptions {
  /** Threads of ONNX Runtime. */
  readonly threads?: number;
  /** Stops the run before the next batch. */
  readonly signal?: AbortSignal;
}

/**
 * Runs a model file in ONNX Runtime over a whole set. A fixed batch that is not full is padded with zeros.
 * @throws badInput RUNTIME_REFUSED where ONNX Runtime cannot load the file; INTERRUPTED
 */
export async function predict(
  model: FileInterface,
  set: Dataset,
  { threads, signal }: RunOptions = {},
): Promise<Outputs> {
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
): Promise<Outputs> {
  const size = fixedBatch ?? Math.min(256, set.count);
  let raw = new Float32Array(0);
  let units = 0;
  for (let at = 0; at < set.count; at += size) {
    refuseInterrupted(signal);
    const n = Math.min(size, set.count - at);
    const rows = fixedBatch ?? n;
    const feeds = feedsOf(set, inputs, { from: at, count: n, rows });
    const out = (await session.run(feeds, [head.output]))[head.output]!;
    const values = fromRuntime(out);
    if (units === 0) {
      units = values.length / rows;
      raw = new Float32Array(set.count * units);
    }
    raw.set(values.subarray(0, n * units), at * units);
  }
  return { count: set.count, raw, kind: head.outputKind };
}
