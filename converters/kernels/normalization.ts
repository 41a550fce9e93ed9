import { tf } from "../tf.ts";
import type { NormalizationAttributes } from "./attributes.ts";
import { defineKernel } from "./custom.ts";

const axesOf = (x: tf.Tensor, axis: number) => x.shape.map((_, i) => i).slice(axis);
const statistics = (x: tf.Tensor, { axis, epsilon }: NormalizationAttributes) => {
  const axes = axesOf(x, axis);
  const centered = tf.sub(x, tf.mean(x, axes, true));
  const variance = tf.mean(tf.mul(centered, centered), axes, true);
  return { centered, inverse: tf.rsqrt(tf.add(variance, tf.scalar(epsilon))) };
};

const inverseKernel = defineKernel({
  name: "OnnxInverseDeviation",
  composed: ([x], attributes) => statistics(x!, attributes).inverse,
  // s = (v + ε)^(−½): ∂s/∂x = −s² x̂ / n
  gradient: (dy, [x], s, attributes) => [
    () => {
      const n = axesOf(x!, attributes.axis).reduce((p, i) => p * x!.shape[i]!, 1);
      const factor = tf.mul(tf.mul(dy, tf.mul(s, s)), tf.scalar(-1 / n));
      return tf.mul(factor, standardize(x!, attributes.axis, attributes.epsilon));
    },
  ],
});
/** 1 / √(variance + ε), biased variance; the normalised axes have length 1. */
export const inverseDeviation = (x: tf.Tensor, axis: number, epsilon: number): tf.Tensor =>
  inverseKernel([x], { axis, epsilon });

const standardizeKernel = defineKernel({
  name: "OnnxStandardize",
  composed: ([x], attributes) => {
    const { centered, inverse } = statistics(x!, attributes);
    return tf.mul(centered, inverse);
  },
  // dx = s (dy − mean(dy) − x̂ mean(dy x̂))
  gradient: (dy, [x], y, attributes) => [
    () => {
      const axes = axesOf(x!, attributes.axis);
      const along = tf.mul(y, tf.mean(tf.mul(dy, y), axes, true));
      const inner = tf.sub(tf.sub(dy, tf.mean(dy, axes, true)), along);
      return tf.mul(inner, inverseKernel([x!], attributes));
    },
  ],
});
/** x̂ = (x − mean) / √(variance + ε) over the axes from `axis` on. */
export const standardize = (x: tf.Tensor, axis: number, epsilon: number): tf.Tensor =>
  standardizeKernel([x], { axis, epsilon });
