import * as tf from "@tensorflow/tfjs-core";
import { notTrainable } from "../../errors.ts";
import { dimsOf, type Inputs, type OperatorContext, toTensor, type Value } from "../value.ts";

const float = (value: Value) => tf.cast(toTensor(value), "float32");

/** Each row divided by its largest, summed absolute or Euclidean length. */
export function Normalizer([x]: Inputs, { norm = "MAX" }: { norm?: string }): Value {
  const t = float(x!);
  const at = t.rank - 1;
  if (norm === "L1") return tf.div(t, tf.sum(tf.abs(t), at, true));
  if (norm === "L2") return tf.div(t, tf.sqrt(tf.sum(tf.mul(t, t), at, true)));
  return tf.div(t, tf.max(t, at, true));
}

/** (x − offset) · scale, one of each per feature or one for all. */
export function Scaler(
  [x]: Inputs,
  { offset = [0], scale = [1] }: { offset?: readonly number[]; scale?: readonly number[] },
): Value {
  return tf.mul(tf.sub(float(x!), tf.tensor1d([...offset])), tf.tensor1d([...scale]));
}

/** Rows side by side. */
export const FeatureVectorizer = (inputs: Inputs): Value => {
  const parts = inputs.map((value) => {
    const t = float(value!);
    return t.rank === 1 ? tf.reshape(t, [1, t.size]) : t;
  });
  return parts.length === 1 ? parts[0]! : tf.concat(parts, 1);
};

/** 1 above the threshold, else 0. */
export const Binarizer = ([x]: Inputs, { threshold = 0 }: { threshold?: number }): Value =>
  tf.cast(tf.greater(float(x!), tf.scalar(threshold)), "float32");

/** The one value that stands for "missing" replaced, feature by feature. */
export function Imputer(
  [x]: Inputs,
  {
    imputed_value_floats: filled,
    replaced_value_float: missing = 0,
  }: { imputed_value_floats?: readonly number[]; replaced_value_float?: number },
  { where }: OperatorContext,
): Value {
  if (!filled)
    throw notTrainable("IMPUTER_TYPE", `${where}: only float values can be imputed; convert the model.`);
  const t = float(x!);
  const is = Number.isNaN(missing) ? tf.isNaN(t) : tf.equal(t, tf.scalar(missing));
  const fill = tf.add(tf.zeros(dimsOf(t)), tf.tensor1d([...filled]));
  return tf.where(is, fill, t);
}
