import ndarray, { type NdArray } from "ndarray";
import { notTrainable } from "../errors.ts";
import { type DataType, isFloatType, type OnnxNode, type OnnxTensor } from "../onnx/model.ts";
import { tf } from "../tf.ts";

/**
 * A value known while the graph is imported: shapes, axes, int64 arithmetic, small float constants. Computed
 * on the host, so that Shape→Gather→Concat→Reshape subgraphs never reach tfjs.
 * `array` is row-major and contiguous; bool is 0/1; int64 is exact up to 2^53.
 */
export interface HostTensor {
  readonly lane: "host";
  readonly dtype: DataType;
  readonly array: NdArray<Float64Array>;
}

/**
 * A value of the graph. Floats, and integers and booleans that depend on data, are tf.Tensor (float32, int32,
 * bool); all else is a host value.
 */
export type Value = tf.Tensor | HostTensor;

/** Inputs of a node; `undefined` for an omitted optional one. */
export type Inputs = readonly (Value | undefined)[];

/** What an operator is passed besides inputs and attributes. */
export interface OperatorContext {
  readonly node: OnnxNode;
  /** Version of the node's domain. */
  readonly opset: number;
  /** Names the node in an error message: `Conv "layer1.0/conv" (ai.onnx, opset 13)`. */
  readonly where: string;
  /** Runs one of the node's subgraphs (If, Loop, Scan) with these inputs. */
  readonly subgraph?: (attribute: string, inputs: readonly Value[]) => Value[];
}

export const isHost = (value: Value | undefined): value is HostTensor =>
  value !== undefined && "lane" in value && value.lane === "host";

export function host(dtype: DataType, dims: readonly number[], data: ArrayLike<number>): HostTensor {
  return { lane: "host", dtype, array: ndarray(Float64Array.from(data), [...dims]) };
}

export { isFloatType };

/** The tfjs type for an ONNX type; int64 becomes int32. */
export const tensorTypeOf = (dtype: DataType): "float32" | "int32" | "bool" =>
  isFloatType(dtype) ? "float32" : dtype === "bool" ? "bool" : "int32";

export const dimsOf = (value: Value): number[] => (isHost(value) ? [...value.array.shape] : [...value.shape]);

const clampToInt32 = (v: number) => Math.max(-2147483648, Math.min(2147483647, Math.trunc(v)));

/** Converts a host value to a tensor; a tensor is returned unchanged. */
export function toTensor(value: Value): tf.Tensor {
  if (!isHost(value)) return value;
  const dtype = tensorTypeOf(value.dtype);
  const data = value.array.data;
  const typed =
    dtype === "float32"
      ? Float32Array.from(data)
      : dtype === "bool"
        ? Uint8Array.from(data)
        : Int32Array.from(data, clampToInt32);
  return tf.tensor(typed, [...value.array.shape], dtype);
}

/**
 * The numbers of a host value.
 * @throws notTrainable OPERAND_MISSING or, for a tensor, OPERAND_NOT_CONSTANT, naming node and operand
 */
export function toNumbers(value: Value | undefined, operand: string, context: OperatorContext): number[] {
  if (value === undefined)
    throw notTrainable("OPERAND_MISSING", `${context.where}: input "${operand}" is required but missing.`);
  if (!isHost(value))
    throw notTrainable(
      "OPERAND_NOT_CONSTANT",
      `${context.where}: input "${operand}" depends on the data; only values known from shapes and constants are supported here.`,
    );
  return Array.from(value.array.data);
}

/** Converts a decoded ONNX tensor to a host value. */
export function hostFromOnnx(tensor: OnnxTensor): HostTensor {
  const data = tensor.data as ArrayLike<number | bigint>;
  const numbers = new Float64Array(data.length);
  for (let i = 0; i < data.length; i++) numbers[i] = Number(data[i]);
  return { lane: "host", dtype: tensor.dtype, array: ndarray(numbers, [...tensor.dims]) };
}
