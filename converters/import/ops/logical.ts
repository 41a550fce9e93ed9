import * as tf from "@tensorflow/tfjs-core";
import { host, type Inputs, isHost, toTensor, type Value } from "../value.ts";
import { Sub } from "./elementwise.ts";

const compare =
  (onHost: (difference: number) => boolean, onTensor: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor) =>
  ([a, b]: Inputs): Value => {
    if (isHost(a) && isHost(b)) {
      // The host lane holds float64: the sign of a − b decides every comparison.
      const difference = Sub([a, b]);
      if (isHost(difference))
        return host(
          "bool",
          difference.array.shape,
          Array.from(difference.array.data, (v) => Number(onHost(v))),
        );
    }
    return onTensor(toTensor(a!), toTensor(b!));
  };

export const Equal = compare((d) => d === 0, tf.equal);
export const Greater = compare((d) => d > 0, tf.greater);
export const GreaterOrEqual = compare((d) => d >= 0, tf.greaterEqual);
export const Less = compare((d) => d < 0, tf.less);
export const LessOrEqual = compare((d) => d <= 0, tf.lessEqual);
export const And = ([a, b]: Inputs): Value => tf.logicalAnd(toTensor(a!), toTensor(b!));
export const Or = ([a, b]: Inputs): Value => tf.logicalOr(toTensor(a!), toTensor(b!));
export const Xor = ([a, b]: Inputs): Value => tf.notEqual(toTensor(a!), toTensor(b!));
export const Not = ([x]: Inputs): Value =>
  isHost(x)
    ? host(
        "bool",
        x.array.shape,
        Array.from(x.array.data, (v) => Number(v === 0)),
      )
    : tf.logicalNot(x as tf.Tensor);
export const IsNaN = ([x]: Inputs): Value => tf.isNaN(toTensor(x!));
