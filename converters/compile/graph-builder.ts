import type { TensorInfo } from "@tensorflow/tfjs-core";
import type { KernelAttributes, KernelName } from "../kernels/attributes.ts";

/** ONNX Runtime's own operators (FusedMatMul, FusedConv, Inverse …). */
export const MICROSOFT = "com.microsoft";
/** ONNX Runtime's operators on its blocked layout [N, ⌈C/b⌉, H, W, b]: ReorderInput, Conv, ReorderOutput … */
export const NCHWC = "com.microsoft.nchwc";

/** An operator of ONNX itself by its name, one of another domain as [domain, name]. */
export type Operator = string | readonly [domain: string, opType: string];

export type TensorType = "float32" | "int32" | "bool";

/** ONNX attribute of an emitted node. */
export type EmittedAttribute =
  | { readonly int: number }
  | { readonly ints: readonly number[] }
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly string: string };

/** A graph input or output. */
export interface GraphValue {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
}

/** One node of the graph under construction. */
export interface EmittedNode {
  readonly opType: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Shape of each output. */
  readonly shapes: readonly (readonly number[])[];
  /** Element type of each output. */
  readonly dtypes: readonly string[];
  readonly attributes: Readonly<Record<string, EmittedAttribute>>;
}

/** A symbolic tensor, or the name of an ONNX value (a constant from `ints`); "" leaves an input out. */
export type Operand = TensorInfo | string;

/**
 * Builds the ONNX graph node by node (opset 21 of ai.onnx, com.microsoft 1); passed to every lowering. A node
 * that is emitted twice becomes one. Nodes that no output depends on are dropped at the end.
 */
export interface GraphBuilder {
  /** Emits a node with one output and returns its symbolic tensor. */
  emit(
    operator: Operator,
    inputs: readonly Operand[],
    shape: readonly number[],
    dtype: TensorType | string,
    attributes?: Readonly<Record<string, EmittedAttribute>>,
  ): TensorInfo;
  /** Emits a node with several outputs. */
  emitMany(
    operator: Operator,
    inputs: readonly Operand[],
    outputs: readonly { readonly shape: readonly number[]; readonly dtype: TensorType | string }[],
    attributes?: Readonly<Record<string, EmittedAttribute>>,
  ): TensorInfo[];
  /** Name of a constant 1-D int64 tensor. */
  ints(values: readonly number[]): string;
  /** A constant tensor. */
  constant(values: ArrayLike<number>, shape: readonly number[], dtype: TensorType): TensorInfo;
  /** A tensor whose elements are all equal; kernels fold it away if they can. */
  splat(value: number, shape: readonly number[], dtype: TensorType): TensorInfo;
  /** The value of a tensor whose elements are known to be equal; undefined for any other. */
  splatValue(tensor: TensorInfo): number | undefined;
  /**
   * A tensor broadcast to a larger shape; expanded only for operators that do not broadcast by themselves.
   */
  spread(tensor: TensorInfo, shape: readonly number[]): TensorInfo;
  /** The tensor of which this one is the `spread`. */
  spreadOf(tensor: TensorInfo): TensorInfo | undefined;
  /** Channels per block of ONNX Runtime's blocked layout on this machine (8, 16 …); 0: row-major only. */
  readonly block: number;
  /** Whether a tensor [N, C, H, W] already exists in the blocked layout, so that no conversion is needed. */
  isBlocked(tensor: TensorInfo): boolean;
  /**
   * A float tensor [N, C, H, W] in the blocked layout: in memory [N, ⌈C/b⌉, H, W, b], declared to ONNX as [N,
   * ⌈C/b⌉·b, H, W]. Converted on first use. Channels that pad the last block hold arbitrary finite numbers.
   */
  blocked(tensor: TensorInfo): TensorInfo;
  /** The tensor of this shape whose blocked form is `raw`; converted to row-major on first use. */
  fromBlocked(raw: TensorInfo, shape: readonly number[]): TensorInfo;
  /** A tensor [N, C, H, W] as [N, H, W, C]. */
  channelsLast(tensor: TensorInfo): TensorInfo;
  /** A splat as a scalar operand, for operators that broadcast; any other tensor unchanged. */
  scalarOf(tensor: TensorInfo): Operand;
  /** Name of an operand with one element; undefined for any other. */
  scalarName(operand: Operand): string | undefined;
  /** The integers of a constant made by `ints`. */
  intsOf(name: string): readonly number[] | undefined;
  /** The node that makes a value, so that a lowering can cancel inverse pairs. */
  producerOf(tensor: TensorInfo): EmittedNode | undefined;
  /** The symbolic tensor of an existing value, for a lowering that needs no new node. */
  reuse(name: string, shape: readonly number[], dtype: string): TensorInfo;
}

/** Attributes of tfjs's own kernels, which it does not type. */
type TfjsAttributes = Readonly<Record<string, unknown>>;

export interface LoweringArguments<Attributes = TfjsAttributes> {
  /** The inputs in order, without omitted ones. */
  readonly inputs: readonly TensorInfo[];
  /** The inputs by their tfjs names. */
  readonly named: Readonly<Record<string, TensorInfo>>;
  readonly attrs: Attributes;
  readonly graph: GraphBuilder;
}

/** Emits the ONNX nodes of one kernel and returns its symbolic output(s). */
export type Lowering<Attributes = TfjsAttributes> = (
  args: LoweringArguments<Attributes>,
) => TensorInfo | TensorInfo[];

/** A lowering for every kernel of converters/kernels; one that is missing does not compile. */
export type KernelLowerings = { readonly [Name in KernelName]: Lowering<KernelAttributes[Name]> };
