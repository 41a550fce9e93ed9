import { elementCount, positiveAxis } from "../../dims.ts";
import { notTrainable } from "../../errors.ts";
import { WEIGHT_CODES } from "../../graph/quantised-weights.ts";
import { gather } from "../../kernels/movement.ts";
import type { DataType } from "../../onnx/model.ts";
import { tf } from "../../tf.ts";
import { always, facts, type OperatorFacts, plain } from "../operator.ts";
import { dimsOf, host, type Inputs, isHost, type OperatorContext, toTensor, type Value } from "../value.ts";

/** Smallest and largest code of the integer types that weights and activations are quantised to. */
const RANGE: Partial<Readonly<Record<DataType, readonly [number, number]>>> = {
  ...WEIGHT_CODES,
  uint4: [0, 15],
  int4: [-8, 7],
};
const OUTPUT_TYPES: Readonly<Record<number, DataType>> = {
  2: "uint8",
  3: "int8",
  4: "uint16",
  5: "int16",
  21: "uint4",
  22: "int4",
};

interface QuantizationAttributes {
  readonly axis?: number;
  readonly block_size?: number;
  readonly output_dtype?: number;
}

/**
 * Reshapes a scale or zero point (one, one per slice of `axis`, or one per block along it) to broadcast with
 * x.
 */
function spread(parameter: Value, dims: readonly number[], axis: number, block: number): Value {
  const own = dimsOf(parameter);
  const at = positiveAxis(axis, dims.length);
  if (block === 0) {
    const shape = elementCount(own) === 1 ? [] : dims.map((d, i) => (i === at ? d : 1));
    return isHost(parameter)
      ? host(parameter.dtype, shape, parameter.array.data)
      : tf.reshape(parameter as tf.Tensor, shape);
  }
  const inner = elementCount(dims.slice(at + 1));
  const [length, blocks] = [dims[at]!, own[at]!];
  if (!isHost(parameter)) {
    const places = Int32Array.from({ length }, (_, i) => Math.floor(i / block));
    return gather(parameter as tf.Tensor, tf.tensor1d(places, "int32"), at);
  }
  const data = Float64Array.from({ length: elementCount(dims) }, (_, i) => {
    const place = Math.floor(i / inner) % length;
    const outer = Math.floor(i / (inner * length));
    return parameter.array.data[(outer * blocks + Math.floor(place / block)) * inner + (i % inner)]!;
  });
  return host(parameter.dtype, dims, data);
}

const float = (value: Value) => tf.cast(toTensor(value), "float32");

/**
 * saturate(round(x / scale) + zero point), int32. The straight-through gradient is that of x / scale inside
 * the range of codes, and zero outside it; scale and zero point get none.
 */
const quantize = (x: tf.Tensor, scale: tf.Tensor, zero: tf.Tensor, [low, high]: readonly [number, number]) =>
  tf.customGrad((...given: (tf.Tensor | tf.GradSaveFunc)[]) => {
    const [value, save] = given as [tf.Tensor, tf.GradSaveFunc];
    const codes = tf.add(tf.round(tf.div(value, scale)), zero);
    const inside = tf.cast(
      tf.logicalAnd(tf.greaterEqual(codes, tf.scalar(low)), tf.lessEqual(codes, tf.scalar(high))),
      "float32",
    );
    save([tf.div(inside, scale)]);
    const saturated = tf.minimum(tf.maximum(codes, tf.scalar(low)), tf.scalar(high));
    return {
      value: tf.cast(saturated, "int32"),
      gradFunc: (dy: tf.Tensor, [slope]: tf.Tensor[]) => tf.mul(dy, slope!),
    };
  })(x);
/** The value without its gradient. */
const frozen = tf.customGrad((x: tf.Tensor | tf.GradSaveFunc) => ({
  value: tf.clone(x as tf.Tensor),
  gradFunc: (dy: tf.Tensor) => tf.zerosLike(dy),
}));

const scaled: OperatorFacts = { ...plain, frozen: { 1: "quantisation scale" }, tail: "rearranges" };

export function QuantizeLinear(
  [x, scale, zero]: Inputs,
  { axis = 1, block_size = 0, output_dtype = 0 }: QuantizationAttributes,
  { where }: OperatorContext,
): Value {
  if (zero !== undefined && !isHost(zero))
    throw notTrainable(
      "OPERAND_NOT_CONSTANT",
      `${where}: input "y_zero_point" depends on the data, so the integer type it quantises to is unknown.`,
    );
  const dtype = zero?.dtype ?? (output_dtype === 0 ? "uint8" : OUTPUT_TYPES[output_dtype]);
  const range = dtype && RANGE[dtype];
  if (!range)
    throw notTrainable(
      "QUANTIZED_TYPE",
      `${where}: quantising to ${dtype ?? `element type ${output_dtype}`} is not supported; only 4-, 8- and 16-bit integers are.`,
    );
  const dims = dimsOf(x!);
  const zeros = zero ? float(spread(zero, dims, axis, block_size)) : tf.scalar(0);
  return quantize(float(x!), float(spread(scale!, dims, axis, block_size)), zeros, range);
}
QuantizeLinear.facts = facts({
  ...scaled,
  gradient: "zero",
  note: "straight through: the gradient of the pair with DequantizeLinear is that of the identity inside the range",
});

/** (x − zero point) · scale */
export function DequantizeLinear(
  [x, scale, zero]: Inputs,
  { axis = 1, block_size = 0 }: QuantizationAttributes,
): Value {
  const dims = dimsOf(x!);
  const shifted = zero ? tf.sub(float(x!), float(spread(zero, dims, axis, block_size))) : float(x!);
  return tf.mul(shifted, float(spread(scale!, dims, axis, block_size)));
}
DequantizeLinear.facts = facts({
  ...scaled,
  note: "weights are trained straight through on the file's own scale",
});

/** uint8 codes, with scale and zero point from the range of x and 0; scale and zero point get no gradient. */
export function DynamicQuantizeLinear([x]: Inputs): Value[] {
  const t = toTensor(x!);
  const least = tf.minimum(tf.min(t), tf.scalar(0));
  const range = tf.sub(tf.maximum(tf.max(t), tf.scalar(0)), least);
  const scale = tf.where(tf.equal(range, tf.scalar(0)), tf.scalar(1), tf.div(range, tf.scalar(255)));
  const zero = tf.minimum(tf.maximum(tf.round(tf.neg(tf.div(least, scale))), tf.scalar(0)), tf.scalar(255));
  const [fixedScale, fixedZero] = [frozen(scale), frozen(zero)];
  return [quantize(t, fixedScale, fixedZero, [0, 255]), fixedScale, tf.cast(fixedZero, "int32")];
}
DynamicQuantizeLinear.facts = facts({
  mixes: always,
  gradient: "zero",
  note: "scale and zero point are frozen",
});
