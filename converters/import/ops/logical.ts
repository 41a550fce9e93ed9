import { tf } from "../../tf.ts";
import { type OperatorFacts, operator, plain } from "../operator.ts";
import { type Inputs, isHost, toTensor, type Value } from "../value.ts";
import { hostBinary, hostUnary } from "./elementwise.ts";

const zero: OperatorFacts = { ...plain, gradient: "zero" };

const binary = (
  onHost: (a: number, b: number) => boolean,
  onTensor: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor,
) =>
  operator(
    zero,
    ([a, b]: Inputs): Value =>
      isHost(a) && isHost(b)
        ? hostBinary(a, b, (x, y) => Number(onHost(x, y)), "bool")
        : onTensor(toTensor(a!), toTensor(b!)),
  );
const unary = (onHost: (x: number) => boolean, onTensor: (x: tf.Tensor) => tf.Tensor) =>
  operator(
    zero,
    ([x]: Inputs): Value =>
      isHost(x) ? hostUnary(x, (v) => Number(onHost(v)), "bool") : onTensor(toTensor(x!)),
  );

export const Equal = binary((a, b) => a === b, tf.equal);
export const Greater = binary((a, b) => a > b, tf.greater);
export const GreaterOrEqual = binary((a, b) => a >= b, tf.greaterEqual);
export const Less = binary((a, b) => a < b, tf.less);
export const LessOrEqual = binary((a, b) => a <= b, tf.lessEqual);
export const And = binary((a, b) => Boolean(a && b), tf.logicalAnd);
export const Or = binary((a, b) => Boolean(a || b), tf.logicalOr);
export const Xor = binary((a, b) => a !== b, tf.notEqual);
export const Not = unary((x) => x === 0, tf.logicalNot);
export const IsNaN = unary(Number.isNaN, tf.isNaN);

export const IsInf = (
  inputs: Inputs,
  { detect_negative = 1, detect_positive = 1 }: { detect_negative?: number; detect_positive?: number },
): Value => {
  const wanted = (v: number) =>
    (v === Number.POSITIVE_INFINITY && detect_positive !== 0) ||
    (v === Number.NEGATIVE_INFINITY && detect_negative !== 0);
  return unary(wanted, (x) => {
    const infinite = tf.isInf(x);
    if (detect_negative && detect_positive) return infinite;
    if (!detect_negative && !detect_positive) return tf.cast(tf.zerosLike(x), "bool");
    const zero = tf.scalar(0);
    return tf.logicalAnd(infinite, detect_positive ? tf.greater(x, zero) : tf.less(x, zero));
  })(inputs);
};
IsInf.facts = zero;
