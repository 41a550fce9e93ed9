import { elementCount } from "../../converters/dims.ts";
import { badInput } from "../../converters/errors.ts";
import type { Head } from "../../converters/import/model.ts";
import type { OnnxValueInfo } from "../../converters/onnx/model.ts";
import type { Dataset } from "../data/types.ts";
import { fromRuntime, toRuntime } from "../engine/tensors.ts";
import * as ort from "../runtime.ts";
import type { Outputs } from "../tasks/task.ts";

/** How a file is fed and read: what importing it found out. */
export interface FileInterface {
  readonly head: Head;
  readonly inputs: readonly OnnxValueInfo[];
  /** The batch size baked into the file; undefined if free. */
  readonly fixedBatch: number | undefined;
}

/** @throws badInput RUNTIME_REFUSED where ONNX Runtime cannot load the file */
export async function openSession(file: string, threads?: number): Promise<ort.InferenceSession> {
  try {
    return await ort.InferenceSession.create(file, {
      ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
      logSeverityLevel: 3,
    });
  } catch (error) {
    throw badInput(
      "RUNTIME_REFUSED",
      `ONNX Runtime cannot load ${file}: ${(error as Error).message.split("\n")[0]}`,
    );
  }
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
    const width = elementCount(dims.slice(1));
    const part = data.subarray(from * width, (from + count) * width);
    const whole =
      data instanceof Float32Array ? new Float32Array(rows * width) : new Int32Array(rows * width);
    whole.set(part);
    feeds[name] = toRuntime(whole, [rows, ...dims.slice(1)], dtype);
  }
  return feeds;
}

/**
 * Runs a model file in ONNX Runtime over a whole set. A fixed batch that is not full is padded with zeros.
 * @throws badInput RUNTIME_REFUSED where ONNX Runtime cannot load or run the file
 */
export async function predict(
  file: string,
  set: Dataset,
  { head, inputs, fixedBatch, threads }: FileInterface & { readonly threads?: number },
): Promise<Outputs> {
  const size = fixedBatch ?? Math.min(256, set.count);
  const session = await openSession(file, threads);
  try {
    let raw = new Float32Array(0);
    let units = 0;
    for (let at = 0; at < set.count; at += size) {
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
  } finally {
    await session.release();
  }
}
