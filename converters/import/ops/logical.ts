import * as tf from "@tensorflow/tfjs-core";
import { host, type Inputs, isHost, toTensor, type Value } from "../value.ts";
import { hostBinary } from "./elementwise.ts";

const compare =
  (onHost: (a: number, b: number) => boolean, onTensor: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor) =>
  ([a, b]: Inputs): Value =>
    isHost(a) && isHost(b)
      ? hostBinary(a, b, (x, y) => Number(onHost(x, y)), "bool")
      : onTensor(toTensor(a!), toTensor(b!));

export const Equal = compare((a, b) => a === b, tf.equal);
export const Greater = compare((a, b) => a > b, tf.greater);
export const GreaterOrEqual = compare((a, b) => a >= b, tf.greaterEqual);
export const Less = compare((a, b) => a < b, tf.less);
export const LessOrEqual = compare((a, b) => a <= b, tf.lessEqual);
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
