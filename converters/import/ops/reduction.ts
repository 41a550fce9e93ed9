import * as tf from "@tensorflow/tfjs-core";
import { slice } from "../../kernels/movement.ts";
import {
  host,
  type Inputs,
  isHost,
  type OperatorContext,
  toNumbers,
  toTensor,
  type Value,
} from "../value.ts";

interface ReductionAttributes {
  readonly axes?: readonly number[];
  readonly keepdims?: number;
  readonly noop_with_empty_axes?: number;
}

/** Axes come as an attribute (old opsets) or as the second input; none means all, unless told to do nothing. */
const reduction =
  (
    reduce: (x: tf.Tensor, axes: number[], keep: boolean) => tf.Tensor,
    onHost?: (values: number[]) => number,
  ) =>
  (
    [x, axesInput]: Inputs,
    { axes, keepdims = 1, noop_with_empty_axes = 0 }: ReductionAttributes,
    context: OperatorContext,
  ): Value => {
    const wanted = axesInput === undefined ? [...(axes ?? [])] : toNumbers(axesInput, "axes", context);
    const untouched = wanted.length === 0 && noop_with_empty_axes !== 0;
    if (isHost(x) && onHost && !untouched) {
      const rank = x.array.shape.length;
      if (wanted.length === 0 || wanted.length === rank)
        return host(x.dtype, keepdims ? x.array.shape.map(() => 1) : [], [onHost(Array.from(x.array.data))]);
    }
    const t = toTensor(x!);
    // Nothing is reduced, but what goes with the sum (square, log …) still happens.
    const all = untouched
      ? []
      : wanted.length === 0
        ? t.shape.map((_, i) => i)
        : wanted.map((a) => (a < 0 ? a + t.rank : a));
    return reduce(t, all, keepdims !== 0);
  };

const sum = (x: tf.Tensor, axes: number[], keep: boolean) => tf.sum(x, axes, keep);
const logSumExp = (x: tf.Tensor, axes: number[], keep: boolean) => {
  const peak = tf.max(x, axes, true);
  const total = tf.add(tf.log(tf.sum(tf.exp(tf.sub(x, peak)), axes, true)), peak);
  return keep
    ? total
    : tf.reshape(
        total,
        x.shape.filter((_, i) => !axes.includes(i)),
      );
};

/** Halves each axis until one slice is left: differentiable at zeros too, where Π·1/x is not. */
const multiplied = (x: tf.Tensor, axes: number[], keep: boolean) => {
  let y = x;
  for (const axis of axes) {
    const part = (start: number, length: number) =>
      slice(
        y,
        y.shape.map((_, i) => (i === axis ? start : 0)),
        y.shape.map((d, i) => (i === axis ? length : d)),
        y.shape.map(() => 1),
      );
    for (let n = y.shape[axis]!; n > 1; n = y.shape[axis]!) {
      const half = Math.floor(n / 2);
      const pairs = tf.mul(part(0, half), part(half, half));
      y = n % 2 ? tf.concat([pairs, part(n - 1, 1)], axis) : pairs;
    }
  }
  return keep
    ? y
    : tf.reshape(
        y,
        x.shape.filter((_, i) => !axes.includes(i)),
      );
};

export const ReduceSum = reduction(sum, (v) => v.reduce((a, b) => a + b, 0));
export const ReduceMean = reduction((x, axes, keep) => tf.mean(x, axes, keep));
export const ReduceMax = reduction(
  (x, axes, keep) => tf.max(x, axes, keep),
  (v) => Math.max(...v),
);
export const ReduceMin = reduction(
  (x, axes, keep) => tf.min(x, axes, keep),
  (v) => Math.min(...v),
);
export const ReduceProd = reduction(multiplied, (v) => v.reduce((a, b) => a * b, 1));
export const ReduceL1 = reduction((x, axes, keep) => sum(tf.abs(x), axes, keep));
export const ReduceL2 = reduction((x, axes, keep) => tf.sqrt(sum(tf.mul(x, x), axes, keep)));
export const ReduceLogSum = reduction((x, axes, keep) => tf.log(sum(x, axes, keep)));
export const ReduceLogSumExp = reduction(logSumExp);
export const ReduceSumSquare = reduction((x, axes, keep) => sum(tf.mul(x, x), axes, keep));

const argReduction =
  (reduce: (x: tf.Tensor, axis: number) => tf.Tensor) =>
  (
    [x]: Inputs,
    {
      axis = 0,
      keepdims = 1,
      select_last_index = 0,
    }: { axis?: number; keepdims?: number; select_last_index?: number },
  ): Value => {
    const t = toTensor(x!);
    const at = axis < 0 ? axis + t.rank : axis;
    // The last of equal extremes is the first one seen from behind.
    const y = select_last_index
      ? tf.sub(tf.scalar(t.shape[at]! - 1, "int32"), reduce(tf.reverse(t, at), at))
      : reduce(t, at);
    return keepdims
      ? tf.reshape(
          y,
          t.shape.map((d, i) => (i === at ? 1 : d)),
        )
      : y;
  };
export const ArgMax = argReduction((x, axis) => tf.argMax(x, axis));
export const ArgMin = argReduction((x, axis) => tf.argMin(x, axis));
