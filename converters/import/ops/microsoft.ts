import * as tf from "@tensorflow/tfjs-core";
import { type Inputs, toTensor, type Value } from "../value.ts";
import * as activation from "./activation.ts";
import { matMul } from "./linalg.ts";

/** com.microsoft: fusions that optimised exports contain. */
export const Gelu = ([x]: Inputs): Value => activation.Gelu([x], {});
export const FastGelu = ([x, bias]: Inputs): Value =>
  activation.Gelu([bias ? tf.add(toTensor(x!), toTensor(bias)) : x], { approximate: "tanh" });
export const BiasGelu = ([x, bias]: Inputs): Value =>
  activation.Gelu([tf.add(toTensor(x!), toTensor(bias!))], {});
export const QuickGelu = ([x]: Inputs, { alpha = 1.702 }: { alpha?: number }): Value => {
  const t = toTensor(x!);
  return tf.mul(t, tf.sigmoid(tf.mul(t, tf.scalar(alpha))));
};
export function FusedMatMul(
  [a, b]: Inputs,
  { alpha = 1, transA = 0, transB = 0 }: { alpha?: number; transA?: number; transB?: number },
): Value {
  const y = matMul(toTensor(a!), toTensor(b!), Boolean(transA), Boolean(transB));
  return alpha === 1 ? y : tf.mul(y, tf.scalar(alpha));
}
