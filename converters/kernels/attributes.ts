import type { ConvAttributes, Window } from "./window.ts";

type None = object;

export interface AxesAttributes {
  readonly axes: readonly number[];
}

/** Bounds as float32 numbers. */
export interface ClipAttributes {
  readonly low: number;
  readonly high: number;
}

export interface CumulativeAttributes {
  readonly axis: number;
  readonly exclusive: boolean;
  readonly reverse: boolean;
}

export interface GatherAttributes {
  readonly axis: number;
  /** Shape of the tensor gathered from: the gradient's shape. */
  readonly source: readonly number[];
}

export interface NormalizationAttributes {
  /** Everything from this axis on is normalised together. */
  readonly axis: number;
  readonly epsilon: number;
}

export interface PoolAttributes extends Window {
  /** [N, C, spatial…] */
  readonly inputShape: readonly number[];
  /** [N, C, spatial…] */
  readonly outputShape: readonly number[];
}

export interface ScatterAttributes {
  readonly reduction: "none" | "add" | "mul" | "max" | "min";
}

export interface SliceAttributes {
  readonly begin: readonly number[];
  readonly shape: readonly number[];
  readonly stride: readonly number[];
  /** Shape of the sliced tensor: the gradient's shape. */
  readonly source: readonly number[];
}

export interface SoftmaxAttributes {
  readonly axis: number;
  readonly log: boolean;
}

export interface TopKAttributes {
  readonly k: number;
  readonly axis: number;
  readonly largest: boolean;
}

/**
 * The attributes of every kernel that we add to tfjs. A kernel that is not listed cannot be defined
 * (custom.ts); a listed one does not compile without a lowering to ONNX
 * (converters/compile/kernels/index.ts).
 */
export interface KernelAttributes {
  OnnxAbs: None;
  OnnxBitwiseAnd: None;
  OnnxBitwiseOr: None;
  OnnxBitwiseXor: None;
  OnnxClip: ClipAttributes;
  OnnxClipGrad: ClipAttributes;
  OnnxConv: ConvAttributes;
  OnnxConvFilterGrad: ConvAttributes;
  OnnxConvInputGrad: ConvAttributes;
  OnnxCumSum: CumulativeAttributes;
  OnnxDet: None;
  OnnxExpand: { readonly shape: readonly number[] };
  OnnxGather: GatherAttributes;
  OnnxGatherGrad: GatherAttributes;
  OnnxIntegerDiv: None;
  OnnxIntegerMatMul: None;
  OnnxIntegerMul: None;
  OnnxIntegerPow: None;
  OnnxInverse: None;
  OnnxInverseDeviation: NormalizationAttributes;
  OnnxMaxPool: PoolAttributes;
  OnnxMaxPoolGrad: PoolAttributes;
  OnnxMaxPoolIndices: PoolAttributes;
  OnnxMod: { readonly fmod: boolean };
  OnnxNormRoot: None;
  OnnxPeak: AxesAttributes;
  OnnxReduceMax: AxesAttributes;
  OnnxReduceMin: AxesAttributes;
  OnnxScatterRows: ScatterAttributes;
  OnnxShiftLeft: None;
  OnnxShiftRight: None;
  OnnxSlice: SliceAttributes;
  OnnxSliceGrad: SliceAttributes;
  OnnxSoftmax: SoftmaxAttributes;
  OnnxStandardize: NormalizationAttributes;
  OnnxSumPool: PoolAttributes;
  OnnxSumPoolGrad: PoolAttributes;
  OnnxTopKIndices: TopKAttributes;
  OnnxTruncate: { readonly to: "int32" | "bool" };
  OnnxWhere: None;
}

export type KernelName = keyof KernelAttributes;
