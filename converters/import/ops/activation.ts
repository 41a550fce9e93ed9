import * as tf from "@tensorflow/tfjs-core";
import { notTrainable } from "../../errors.ts";
import { where } from "../../kernels/movement.ts";
import type { DataType } from "../../onnx/model.ts";
import {
  dimsOf,
  host,
  type Inputs,
  isFloatType,
  isHost,
  type OperatorContext,
  tensorTypeOf,
  toNumbers,
  toTensor,
  type Value,
} from "../value.ts";

const unary =
  (f: (x: tf.Tensor) => tf.Tensor) =>
  ([x]: Inputs): Value =>
    f(toTensor(x!));
/** 1 where x > 0, else 0; tfjs gives comparisons no gradient at all, and `step` a zero one. */
const positive = (x: tf.Tensor) => tf.step(x);
/** max(x, 0) and min(x, 0): their sum is x, their gradients are 1 on one side only. */
const above = (x: tf.Tensor) => tf.relu(x);
const below = (x: tf.Tensor) => tf.neg(tf.relu(tf.neg(x)));
const scaled = (x: tf.Tensor, factor: number) => (factor === 1 ? x : tf.mul(x, tf.scalar(factor)));
/** x inside, the bound outside; the gradient passes only inside, the bounds themselves included. */
const clip = (x: tf.Tensor, low: number, high: number): tf.Tensor => {
  // A choice, not a product with a mask: ±∞ · 0 would be NaN.
  const bound = (value: number) => tf.fill(x.shape, value);
  return where(tf.less(x, tf.scalar(low)), bound(low), where(tf.greater(x, tf.scalar(high)), bound(high), x));
};

export const Relu = unary(tf.relu);
export const Sigmoid = unary(tf.sigmoid);
export const Tanh = unary(tf.tanh);
export const Softplus = unary(tf.softplus);
export const Softsign = unary((x) => tf.div(x, tf.add(tf.scalar(1), tf.abs(x))));
export const Mish = unary((x) => tf.mul(x, tf.tanh(tf.softplus(x))));
export const HardSwish = unary((x) =>
  tf.mul(x, clip(tf.add(tf.mul(x, tf.scalar(1 / 6)), tf.scalar(0.5)), 0, 1)),
);

/** max(0, x) + alpha · min(0, x) */
export const LeakyRelu = ([x]: Inputs, { alpha = 0.01 }: { alpha?: number }): Value => {
  const t = toTensor(x!);
  return tf.add(above(t), scaled(below(t), alpha));
};

/** max(0, x) + slope · min(0, x); before opset 7 a slope of rank 1 belongs to the channel axis. */
export function PRelu([x, slope]: Inputs, _: object, { opset }: OperatorContext): Value {
  const t = toTensor(x!);
  let s = toTensor(slope!);
  if (opset < 7 && s.rank === 1 && t.rank > 2) s = tf.reshape(s, [s.size, ...Array(t.rank - 2).fill(1)]);
  return tf.add(above(t), tf.mul(s, below(t)));
}

/** x > 0 ? x : alpha (eˣ − 1); the exponent is capped at 0 so that the unused side cannot overflow. */
const elu = (x: tf.Tensor, alpha: number, width = 1) =>
  tf.add(above(x), scaled(tf.sub(tf.exp(scaled(below(x), 1 / width)), tf.scalar(1)), alpha));
export const Elu = ([x]: Inputs, { alpha = 1 }: { alpha?: number }): Value => elu(toTensor(x!), alpha);
export const Celu = ([x]: Inputs, { alpha = 1 }: { alpha?: number }): Value =>
  elu(toTensor(x!), alpha, alpha);
export const Selu = (
  [x]: Inputs,
  { alpha = 1.6732631921768188, gamma = 1.0507010221481323 }: { alpha?: number; gamma?: number },
): Value => scaled(elu(toTensor(x!), alpha), gamma);

export const HardSigmoid = (
  [x]: Inputs,
  { alpha = 0.2, beta = 0.5 }: { alpha?: number; beta?: number },
): Value => clip(tf.add(scaled(toTensor(x!), alpha), tf.scalar(beta)), 0, 1);
export const ThresholdedRelu = ([x]: Inputs, { alpha = 1 }: { alpha?: number }): Value => {
  const t = toTensor(x!);
  return tf.mul(t, positive(tf.sub(t, tf.scalar(alpha))));
};

/** ½ x (1 + erf(x/√2)), or its tanh approximation. */
export function Gelu([x]: Inputs, { approximate = "none" }: { approximate?: string }): Value {
  const t = toTensor(x!);
  if (approximate === "tanh") {
    const inner = tf.mul(
      tf.add(t, scaled(tf.mul(t, tf.mul(t, t)), 0.044715)),
      tf.scalar(Math.sqrt(2 / Math.PI)),
    );
    return tf.mul(scaled(t, 0.5), tf.add(tf.tanh(inner), tf.scalar(1)));
  }
  return tf.mul(scaled(t, 0.5), tf.add(tf.erf(scaled(t, Math.SQRT1_2)), tf.scalar(1)));
}

export const Clip = (
  [x]: Inputs,
  { min = -3.4028234663852886e38, max = 3.4028234663852886e38 }: { min?: number; max?: number },
): Value => clip(toTensor(x!), min, max);
export function Clip_11([x, min, max]: Inputs, _: object, context: OperatorContext): Value {
  const low = min === undefined ? -3.4028234663852886e38 : toNumbers(min, "min", context)[0]!;
  const high = max === undefined ? 3.4028234663852886e38 : toNumbers(max, "max", context)[0]!;
  if (isHost(x))
    return host(
      x.dtype,
      x.array.shape,
      Array.from(x.array.data, (v) => Math.min(high, Math.max(low, v))),
    );
  const t = toTensor(x!);
  return t.dtype === "float32" ? clip(t, low, high) : tf.clipByValue(t, low, high);
}

const softmaxAt = (x: tf.Tensor, axis: number, log: boolean): tf.Tensor => {
  const at = axis < 0 ? axis + x.rank : axis;
  const shifted = tf.sub(x, tf.max(x, at, true));
  const total = tf.sum(tf.exp(shifted), at, true);
  return log ? tf.sub(shifted, tf.log(total)) : tf.div(tf.exp(shifted), total);
};
/** Before opset 13 the input is seen as a matrix split at `axis`. */
const flattened = (x: tf.Tensor, axis: number, log: boolean): tf.Tensor => {
  const at = axis < 0 ? axis + x.rank : axis;
  const rows = x.shape.slice(0, at).reduce((a, b) => a * b, 1);
  return tf.reshape(softmaxAt(tf.reshape(x, [rows, x.size / rows]), 1, log), x.shape);
};
export const Softmax = ([x]: Inputs, { axis = 1 }: { axis?: number }): Value =>
  flattened(toTensor(x!), axis, false);
export const Softmax_13 = ([x]: Inputs, { axis = -1 }: { axis?: number }): Value =>
  softmaxAt(toTensor(x!), axis, false);
export const LogSoftmax = ([x]: Inputs, { axis = 1 }: { axis?: number }): Value =>
  flattened(toTensor(x!), axis, true);
export const LogSoftmax_13 = ([x]: Inputs, { axis = -1 }: { axis?: number }): Value =>
  softmaxAt(toTensor(x!), axis, true);

export const Identity = ([x]: Inputs): Value => x!;
/** Inference: the identity; the mask is all true. */
export function Dropout([x]: Inputs, _: object, { node }: OperatorContext): Value | Value[] {
  if (node.outputs.length < 2) return x!;
  const dims = dimsOf(x!);
  return [x!, host("bool", dims, new Float64Array(dims.reduce((a, b) => a * b, 1)).fill(1))];
}

const DTYPES: Readonly<Record<number, DataType>> = {
  1: "float32",
  2: "uint8",
  3: "int8",
  4: "uint16",
  5: "int16",
  6: "int32",
  7: "int64",
  9: "bool",
  10: "float16",
  11: "float64",
  12: "uint32",
  13: "uint64",
  16: "bfloat16",
};
/** Float → float keeps the float32 master; toward integers truncates; toward bool asks "not zero". */
export function Cast([x]: Inputs, { to }: { to: number | string }, { where }: OperatorContext): Value {
  const dtype =
    typeof to === "number"
      ? DTYPES[to]
      : (to
          .toLowerCase()
          .replace(/^float$/, "float32")
          .replace(/^double$/, "float64") as DataType);
  if (!dtype) throw notTrainable("CAST_TYPE", `${where}: cannot cast to ONNX element type ${to}.`);
  if (isHost(x)) {
    const convert = isFloatType(dtype)
      ? (v: number) => v
      : dtype === "bool"
        ? (v: number) => Number(v !== 0)
        : Math.trunc;
    return host(dtype, x.array.shape, Array.from(x.array.data, convert));
  }
  const t = x as tf.Tensor;
  return t.dtype === tensorTypeOf(dtype) ? t : tf.cast(t, tensorTypeOf(dtype));
}
