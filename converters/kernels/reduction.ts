import { tf } from "../tf.ts";
import type { CumulativeAttributes } from "./attributes.ts";
import { defineKernel, type Kernel } from "./custom.ts";

/** Equally extreme elements share the gradient, as in PyTorch's amax; tfjs gives all of it to each. */
const extreme = (
  name: "OnnxReduceMax" | "OnnxReduceMin",
  find: (x: tf.Tensor, axes: number[], keep: boolean) => tf.Tensor,
) => {
  const kernel = defineKernel({
    name,
    composed: ([x], { axes }) => find(x!, [...axes], true),
    gradient: (dy, [x], y, { axes }) => [
      () => {
        const hit = tf.cast(tf.equal(x!, y), "float32");
        return tf.mul(hit, tf.div(dy, tf.sum(hit, [...axes], true)));
      },
    ],
  });
  return (x: tf.Tensor, axes: readonly number[]): tf.Tensor => kernel([x], { axes });
};
/** Maximum over the axes, which stay with length 1. */
export const reduceMax = extreme("OnnxReduceMax", tf.max);
export const reduceMin = extreme("OnnxReduceMin", tf.min);

const peakKernel = defineKernel({
  name: "OnnxPeak",
  composed: ([x], { axes }) => {
    const peak = tf.max(x!, [...axes], true);
    return tf.where(tf.isFinite(peak), peak, tf.zerosLike(peak));
  },
  gradient: () => [],
});
/** The maximum, or 0 if infinite: a constant to subtract before an exponential, hence without gradient. */
export const peak = (x: tf.Tensor, axes: readonly number[]): tf.Tensor => peakKernel([x], { axes });

const cumulativeSumKernel: Kernel<CumulativeAttributes> = defineKernel({
  name: "OnnxCumSum",
  composed: ([x], { axis, exclusive, reverse }) => tf.cumsum(x!, axis, exclusive, reverse),
  gradient: (dy, _x, _y, attributes) => [
    () => cumulativeSumKernel([dy], { ...attributes, reverse: !attributes.reverse }),
  ],
});
/** ONNX CumSum. tfjs has a cumsum, but its gradient is transposed where the axis is not the last. */
export const cumulativeSum = (x: tf.Tensor, attributes: CumulativeAttributes): tf.Tensor =>
  cumulativeSumKernel([x], attributes);

const softmaxKernel = defineKernel({
  name: "OnnxSoftmax",
  composed: ([x], { axis, log }) => {
    const shifted = tf.sub(x!, tf.max(x!, axis, true));
    const total = tf.sum(tf.exp(shifted), axis, true);
    return log ? tf.sub(shifted, tf.log(total)) : tf.div(tf.exp(shifted), total);
  },
  gradient: (dy, _x, y, { axis, log }) => [
    () =>
      log
        ? tf.sub(dy, tf.mul(tf.exp(y), tf.sum(dy, axis, true)))
        : tf.mul(y, tf.sub(dy, tf.sum(tf.mul(dy, y), axis, true))),
  ],
});
/** Softmax, or its logarithm, along one axis counted from the front. */
export const softmax = (x: tf.Tensor, axis: number, log = false): tf.Tensor =>
  softmaxKernel([x], { axis, log });
