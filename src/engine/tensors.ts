import { fromFloat16Bits, toFloat16Bits } from "../../converters/onnx/floats.ts";
import type { DataType } from "../../converters/onnx/model.ts";
import * as ort from "../runtime.ts";

/** Numbers as a tensor of the element type that the model's input declares. */
export function toRuntime(
  data: Float32Array | Int32Array,
  dims: readonly number[],
  dtype: DataType | undefined,
): ort.Tensor {
  switch (dtype) {
    case "float16":
      return new ort.Tensor("float16", Uint16Array.from(data, toFloat16Bits), dims);
    case "float64":
      return new ort.Tensor("float64", Float64Array.from(data), dims);
    case "int64":
      return new ort.Tensor("int64", BigInt64Array.from(data, BigInt), dims);
    case "uint64":
      return new ort.Tensor("uint64", BigUint64Array.from(data, BigInt), dims);
    case "int32":
      return new ort.Tensor("int32", Int32Array.from(data), dims);
    case "bool":
      return new ort.Tensor("bool", Uint8Array.from(data), dims);
    case "uint8":
      return new ort.Tensor("uint8", Uint8Array.from(data), dims);
    case "int8":
      return new ort.Tensor("int8", Int8Array.from(data), dims);
    case "int16":
      return new ort.Tensor("int16", Int16Array.from(data), dims);
    case "uint16":
      return new ort.Tensor("uint16", Uint16Array.from(data), dims);
    case "string":
      return new ort.Tensor("string", Array.from(data, String), dims);
    default:
      return data instanceof Float32Array || dtype === "float32"
        ? new ort.Tensor("float32", Float32Array.from(data), dims)
        : new ort.Tensor("int32", data, dims);
  }
}

/** ONNX Runtime's output as float32. float16 arrives as bit patterns on platforms without Float16Array. */
export function fromRuntime({ data, type }: ort.Tensor): Float32Array {
  if (type === "float16" && data instanceof Uint16Array) return Float32Array.from(data, fromFloat16Bits);
  return Float32Array.from(data as ArrayLike<number | bigint>, Number);
}
