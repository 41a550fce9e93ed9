import { fromFloat16Bits, toFloat16Bits } from "../../converters/onnx/floats.ts";
import type { DataType } from "../../converters/onnx/model.ts";
import * as ort from "../runtime.ts";

const ARRAYS = {
  float64: Float64Array,
  int32: Int32Array,
  bool: Uint8Array,
  uint8: Uint8Array,
  int8: Int8Array,
  int16: Int16Array,
  uint16: Uint16Array,
} as const;

/**
 * Values as a tensor of the element type that a model's input declares; where it declares none, or one that
 * is not listed here, as float32 or int32 like the data.
 */
export function toRuntime(
  data: Float32Array | Int32Array,
  dims: readonly number[],
  dtype: DataType | undefined,
): ort.Tensor {
  switch (dtype) {
    case "float16":
      return new ort.Tensor("float16", Uint16Array.from(data, toFloat16Bits), dims);
    case "int64":
      return new ort.Tensor("int64", BigInt64Array.from(data, BigInt), dims);
    case "uint64":
      return new ort.Tensor("uint64", BigUint64Array.from(data, BigInt), dims);
    case "float64":
    case "int32":
    case "bool":
    case "uint8":
    case "int8":
    case "int16":
    case "uint16":
      return new ort.Tensor(dtype as "float64", ARRAYS[dtype as "float64"].from(data), dims);
    case "string":
      return new ort.Tensor("string", Array.from(data, String), dims);
    default:
      return data instanceof Float32Array || dtype === "float32"
        ? new ort.Tensor("float32", Float32Array.from(data), dims)
        : new ort.Tensor("int32", data, dims);
  }
}

/** An output of ONNX Runtime as float32. Where Node.js has no Float16Array, float16 arrives as its bits. */
export function fromRuntime({ data, type }: ort.Tensor): Float32Array {
  if (type === "float16" && data instanceof Uint16Array) return Float32Array.from(data, fromFloat16Bits);
  return Float32Array.from(data as ArrayLike<number | bigint>, Number);
}
