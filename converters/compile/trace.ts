import type { TensorInfo } from "@tensorflow/tfjs-core";
import type { KernelAttributes, KernelName } from "../kernels/attributes.ts";

export type TraceType = "float32" | "int32" | "bool";

/** ONNX attribute of an emitted node: integers, floats and strings are told apart by kind. */
export type EmittedAttribute =
  | { readonly int: number }
  | { readonly ints: readonly number[] }
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly string: string };

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

/** An operand: a symbolic tensor made by a kernel, or the name of an ONNX value (a constant from `ints`/`constant`). "" omits it. */
export type Operand = TensorInfo | string;

/**
 * What a lowering gets to emit ONNX nodes with (opset 21 of ai.onnx plus com.microsoft 1).
 * Identical emissions return the same value (common subexpressions), and nodes no output needs are dropped at the end.
 */
export interface Trace {
  /** Emits a node with one output and returns its symbolic tensor. */
  emit(
    opType: string,
    inputs: readonly Operand[],
    shape: readonly number[],
    dtype: TraceType | string,
    attributes?: Readonly<Record<string, EmittedAttribute>>,
    domain?: string,
  ): TensorInfo;
  /** Emits a node with several outputs. */
  emitMany(
    opType: string,
    inputs: readonly Operand[],
    outputs: readonly { readonly shape: readonly number[]; readonly dtype: TraceType | string }[],
    attributes?: Readonly<Record<string, EmittedAttribute>>,
    domain?: string,
  ): TensorInfo[];
  /** Name of a constant 1-D int64 tensor. */
  ints(values: readonly number[]): string;
  /** A constant tensor. */
  constant(values: ArrayLike<number>, shape: readonly number[], dtype: TraceType): TensorInfo;
  /** A tensor with one value everywhere; folded away where a kernel can. */
  splat(value: number, shape: readonly number[], dtype: TraceType): TensorInfo;
  /** The value of a splat or of a one-element constant; undefined if it is not known while tracing. */
  splatValue(tensor: TensorInfo): number | undefined;
  /** A tensor broadcast to a larger shape; made whole where an operator does not broadcast by itself. */
  spread(tensor: TensorInfo, shape: readonly number[]): TensorInfo;
  /** The tensor of which this one is the `spread`. */
  spreadOf(tensor: TensorInfo): TensorInfo | undefined;
  /** Channels per block of ONNX Runtime's blocked layout on this machine (8, 16 …); 0: lowerings stay row-major. */
  readonly block: number;
  /** Whether a tensor [N, C, H, W] already stands in the blocked layout, so that going on in it costs nothing. */
  isBlocked(tensor: TensorInfo): boolean;
  /**
   * A float tensor [N, C, H, W] in the blocked layout: memory [N, ⌈C/b⌉, H, W, b], stated to ONNX as [N, ⌈C/b⌉·b, H, W].
   * Made when first asked for; the channels that fill the last block hold any finite numbers.
   */
  blocked(tensor: TensorInfo): TensorInfo;
  /** The tensor of this shape whose blocked form is `raw`; its row-major form is made when first asked for. */
  fromBlocked(raw: TensorInfo, shape: readonly number[]): TensorInfo;
  /** A tensor [N, C, H, W] as [N, H, W, C]. */
  channelsLast(tensor: TensorInfo): TensorInfo;
  /** A scalar operand that broadcasts like the splat it stands for; other tensors stay as they are. */
  scalarOf(tensor: TensorInfo): Operand;
  /** Name of a one-element operand, undefined where it has more elements. */
  scalarName(operand: Operand): string | undefined;
  /** The integers of a constant made by `ints`. */
  intsOf(name: string): readonly number[] | undefined;
  /** The node that made a value, so that a lowering can cancel inverse pairs. */
  producerOf(tensor: TensorInfo): EmittedNode | undefined;
  /** Wraps an existing value name again, for a lowering that found its result already there. */
  reuse(name: string, shape: readonly number[], dtype: string): TensorInfo;
}

/** Attributes of tfjs's own kernels, which it does not type. */
type TfjsAttributes = Readonly<Record<string, unknown>>;

export interface LoweringArguments<Attributes = TfjsAttributes> {
  /** The inputs in order, those left out skipped. */
  readonly inputs: readonly TensorInfo[];
  /** The inputs by their tfjs names. */
  readonly named: Readonly<Record<string, TensorInfo>>;
  readonly attrs: Attributes;
  readonly trace: Trace;
}

/** Emits the ONNX nodes of one kernel and returns its symbolic output(s). */
export type Lowering<Attributes = TfjsAttributes> = (
  args: LoweringArguments<Attributes>,
) => TensorInfo | TensorInfo[];

/** A lowering for every kernel of converters/kernels; one that is missing does not compile. */
export type KernelLowerings = { readonly [Name in KernelName]: Lowering<KernelAttributes[Name]> };
