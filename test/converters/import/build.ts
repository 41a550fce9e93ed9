// Registers the gradients of all tfjs kernels.
import "@tensorflow/tfjs-layers";
import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import type { onnx as Onnx } from "onnx-proto";
import pkg from "onnx-proto";
import * as ort from "onnxruntime-node";
import type { ImportOptions, TrainableModel } from "../../../converters/import/model.ts";
import { importModel } from "../../../converters/importer.ts";
import { readModel } from "../../../converters/onnx/read.ts";

const { onnx } = pkg;

export const FLOAT = 1;
export const INT64 = 7;

/** An attribute by the kind of its value: whole numbers and lists of them are integers, text is text. */
export function attribute(name: string, value: unknown): Onnx.IAttributeProto {
  if (typeof value === "string") return { name, type: 3, s: new TextEncoder().encode(value) };
  if (typeof value === "number")
    return Number.isInteger(value) ? { name, type: 2, i: value } : { name, type: 1, f: value };
  if (value instanceof Float32Array) return { name, type: 6, floats: [...value] };
  if (Array.isArray(value)) return { name, type: 7, ints: value };
  const proto = value as Onnx.IGraphProto & Onnx.ITensorProto;
  return proto.dataType === undefined || proto.node
    ? { name, type: 5, g: proto }
    : { name, type: 4, t: proto };
}

export const node = (
  opType: string,
  input: readonly string[],
  output: readonly string[],
  attributes: Readonly<Record<string, unknown>> = {},
  domain = "",
): Onnx.INodeProto => ({
  opType,
  domain,
  input: [...input],
  output: [...output],
  attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
});

/** A float32 tensor as raw data. */
export const floats = (
  name: string,
  dims: readonly number[],
  values: readonly number[],
): Onnx.ITensorProto => ({
  name,
  dims: [...dims],
  dataType: FLOAT,
  rawData: new Uint8Array(Float32Array.from(values).buffer),
});
export const ints = (name: string, values: readonly number[], dims = [values.length]): Onnx.ITensorProto => ({
  name,
  dims,
  dataType: INT64,
  rawData: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
});
export const codes = (
  name: string,
  dataType: 2 | 3 | 6,
  dims: readonly number[],
  values: readonly number[],
): Onnx.ITensorProto => ({
  name,
  dims: [...dims],
  dataType,
  rawData: new Uint8Array(dataType === 6 ? Int32Array.from(values).buffer : Uint8Array.from(values)),
});

export const value = (
  name: string,
  dims: readonly (number | string)[] | undefined,
  elemType = FLOAT,
): Onnx.IValueInfoProto => ({
  name,
  type: {
    tensorType: {
      elemType,
      ...(dims
        ? { shape: { dim: dims.map((d) => (typeof d === "number" ? { dimValue: d } : { dimParam: d })) } }
        : {}),
    },
  },
});

export const model = (
  graph: Onnx.IGraphProto,
  more: Onnx.IModelProto & { readonly opset?: number } = {},
): Uint8Array => {
  const { opset = 17, ...rest } = more;
  return new Uint8Array(
    onnx.ModelProto.encode({
      irVersion: 8,
      opsetImport: [{ domain: "", version: opset }],
      ...rest,
      graph: { name: "g", ...graph },
    }).finish(),
  );
};

/** Numbers in ±1 that a seed alone decides. */
export function numbers(count: number, seed = 1): number[] {
  let state = seed * 2654435761;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return Math.fround(state / 2 ** 31);
  });
}

export interface Feed {
  readonly dims: readonly number[];
  readonly data: readonly number[];
  readonly type?: "float32" | "int64" | "uint8";
}

/**
 * ONNX Runtime's output as numbers; node by node, as its optimiser replaces a product with quantised weights
 * by a coarser one.
 */
export async function runtime(
  bytes: Uint8Array,
  feeds: Readonly<Record<string, Feed>>,
  output: string,
): Promise<number[]> {
  const session = await ort.InferenceSession.create(bytes, {
    logSeverityLevel: 4,
    intraOpNumThreads: 1,
    graphOptimizationLevel: "disabled",
  });
  const tensors = Object.fromEntries(
    Object.entries(feeds).map(([name, { dims, data, type }]) => [
      name,
      type === "int64"
        ? new ort.Tensor("int64", BigInt64Array.from(data, BigInt), dims)
        : type === "uint8"
          ? new ort.Tensor("uint8", Uint8Array.from(data), dims)
          : new ort.Tensor("float32", Float32Array.from(data), dims),
    ]),
  );
  const result = (await session.run(tensors, [output]))[output]!;
  await session.release();
  return Array.from(result.data as ArrayLike<number | bigint>, Number);
}

/** The imported graph on tfjs's JavaScript backend, with the file's weights or others. */
export async function forward(
  imported: TrainableModel,
  feeds: Readonly<Record<string, Feed>>,
  weights: ReadonlyMap<string, Float32Array> = new Map(),
): Promise<number[]> {
  await tf.setBackend("cpu");
  return tf.tidy(() => {
    const parameters = Object.fromEntries(
      imported.parameters
        .filter((p) => p.trainable)
        .map((p) => [p.name, tf.tensor(weights.get(p.name) ?? p.data, [...p.dims])]),
    );
    const inputs = Object.fromEntries(
      Object.entries(feeds).map(([name, { dims, data, type }]) => [
        name,
        tf.tensor([...data], [...dims], type === undefined || type === "float32" ? "float32" : "int32"),
      ]),
    );
    return [...imported.forward(parameters, inputs).dataSync()];
  });
}

export const load = (bytes: Uint8Array, options: ImportOptions = {}): TrainableModel =>
  importModel(readModel(bytes), options);

/** max |a − b| / max(1, max |b|); infinite for different lengths. */
export function deviation(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  const largest = b.reduce((most, v) => Math.max(most, Math.abs(v)), 1);
  return b.reduce((worst, v, i) => Math.max(worst, Math.abs(v - a[i]!)), 0) / largest;
}
