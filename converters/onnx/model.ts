/** ONNX element types by the name NumPy users know; float8/int4 kinds keep ONNX's own names in lower case. */
export type DataType =
  | "float32"
  | "float64"
  | "float16"
  | "bfloat16"
  | "int8"
  | "uint8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  | "int64"
  | "uint64"
  | "bool"
  | "string"
  | "complex64"
  | "complex128"
  | "float8e4m3fn"
  | "float8e4m3fnuz"
  | "float8e5m2"
  | "float8e5m2fnuz"
  | "uint4"
  | "int4"
  | "float4e2m1";

export const isFloatType = (dtype: DataType): boolean =>
  dtype === "float32" || dtype === "float64" || dtype === "float16" || dtype === "bfloat16";

/**
 * Decoded payload: f32/f16/bf16/float8 → Float32Array, f64 → Float64Array, (u)int64 → Big…Array, bool →
 * Uint8Array, int4 → Int8Array.
 */
export type TensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | readonly string[];

/** An initializer or a tensor attribute, decoded. */
export interface OnnxTensor {
  readonly name: string;
  readonly dtype: DataType;
  readonly dims: readonly number[];
  readonly data: TensorData;
}

/** Value of a node's attribute. */
export type AttributeValue =
  | number
  | string
  | readonly number[]
  | readonly string[]
  | OnnxTensor
  | OnnxGraph
  | readonly OnnxTensor[]
  | readonly OnnxGraph[];

/** A node of a graph. */
export interface OnnxNode {
  readonly name: string;
  readonly opType: string;
  /** "" means ai.onnx. */
  readonly domain: string;
  /** "" marks an omitted optional input. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Integers arrive as numbers (int64 beyond 2^53 loses its last bits). */
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  /** In a function body: attribute → the function's attribute that it takes its value from. */
  readonly references?: Readonly<Record<string, string>>;
  /** Opset of the node's domain if it differs from the model's: for nodes from a function body. */
  readonly opset?: number;
}

/** A model-local function: a node with its domain and name is a call of it. */
export interface OnnxFunction {
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Attributes with a default. */
  readonly defaults: Readonly<Record<string, AttributeValue>>;
  readonly opsets: ReadonlyMap<string, number>;
  readonly nodes: readonly OnnxNode[];
}

/** A graph input or output. */
export interface OnnxValueInfo {
  readonly name: string;
  readonly dtype: DataType | undefined;
  /**
   * A number is a fixed dimension, a string a symbolic one, undefined an unknown one. The list is undefined
   * if the file states no shape.
   */
  readonly dims: readonly (number | string | undefined)[] | undefined;
}

/** A decoded graph: nodes in topological order, as the file has them. */
export interface OnnxGraph {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: ReadonlyMap<string, OnnxTensor>;
  /** Graph inputs that are not also initializers. */
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
}

/** A decoded ONNX file together with its original bytes, which the exporter patches. */
export interface OnnxModel {
  /** Where it was read from; undefined for bytes in memory. */
  readonly path: string | undefined;
  /** The original file, never modified. */
  readonly bytes: Uint8Array;
  readonly irVersion: number;
  /** Domain ("" for ai.onnx) → version. */
  readonly opsets: ReadonlyMap<string, number>;
  readonly producer: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly graph: OnnxGraph;
  /** Model-local functions; absent or empty where there are none. */
  readonly functions?: readonly OnnxFunction[];
  /**
   * External data: location as the model spells it → that file's bytes. Absent or empty where there is none.
   */
  readonly sideFiles?: ReadonlyMap<string, Uint8Array>;
}
