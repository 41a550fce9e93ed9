import * as tf from "@tensorflow/tfjs-core";
import { notTrainable } from "../../errors.ts";
import { type Inputs, type OperatorContext, toTensor, type Value } from "../value.ts";

/** A per-channel vector as [C,1,1,…], to stand beside [N,C,spatial…]. */
const perChannel = (v: tf.Tensor, rank: number) =>
  tf.reshape(v, [v.size, ...Array(Math.max(0, rank - 2)).fill(1)]);

/** Inference form: frozen running statistics; scale and bias may be trained. */
export function BatchNormalization(
  [x, scale, bias, mean, variance]: Inputs,
  { epsilon = 1e-5, training_mode = 0 }: { epsilon?: number; training_mode?: number },
  { where }: OperatorContext,
): Value {
  if (training_mode)
    throw notTrainable(
      "BATCHNORM_TRAINING",
      `${where}: training_mode=1 uses batch statistics; export the model in eval mode.`,
    );
  const t = toTensor(x!);
  const [s, b, m, v] = [scale, bias, mean, variance].map((p) => toTensor(p!)) as [
    tf.Tensor,
    tf.Tensor,
    tf.Tensor,
    tf.Tensor,
  ];
  const factor = tf.div(s, tf.sqrt(tf.add(v, tf.scalar(epsilon))));
  const shift = tf.sub(b, tf.mul(m, factor));
  return tf.add(tf.mul(t, perChannel(factor, t.rank)), perChannel(shift, t.rank));
}

/** (x − mean) / √(variance + ε) over `axes`, biased variance. */
const standardize = (x: tf.Tensor, axes: number[], epsilon: number): tf.Tensor => {
  const centered = tf.sub(x, tf.mean(x, axes, true));
  const variance = tf.mean(tf.mul(centered, centered), axes, true);
  return tf.div(centered, tf.sqrt(tf.add(variance, tf.scalar(epsilon))));
};

export function InstanceNormalization(
  [x, scale, bias]: Inputs,
  { epsilon = 1e-5 }: { epsilon?: number },
): Value {
  const t = toTensor(x!);
  const axes = t.shape.map((_, i) => i).slice(2);
  return tf.add(
    tf.mul(standardize(t, axes, epsilon), perChannel(toTensor(scale!), t.rank)),
    perChannel(toTensor(bias!), t.rank),
  );
}

export function LayerNormalization(
  [x, scale, bias]: Inputs,
  { axis = -1, epsilon = 1e-5 }: { axis?: number; epsilon?: number },
): Value {
  const t = toTensor(x!);
  const first = axis < 0 ? axis + t.rank : axis;
  const axes = t.shape.map((_, i) => i).slice(first);
  const scaled = tf.mul(standardize(t, axes, epsilon), toTensor(scale!));
  return bias ? tf.add(scaled, toTensor(bias)) : scaled;
}

export function LpNormalization([x]: Inputs, { axis = -1, p = 2 }: { axis?: number; p?: number }): Value {
  const t = toTensor(x!);
  const at = axis < 0 ? axis + t.rank : axis;
  return tf.div(t, p === 1 ? tf.sum(tf.abs(t), at, true) : tf.sqrt(tf.sum(tf.mul(t, t), at, true)));
}
