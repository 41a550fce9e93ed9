import * as tf from "@tensorflow/tfjs-core";
import { expand } from "../../kernels/movement.ts";
import { type HostTensor, host, type Inputs, isFloatType, isHost, toTensor, type Value } from "../value.ts";

type Binary = (a: tf.Tensor, b: tf.Tensor) => tf.Tensor;

/** NumPy broadcasting of two shapes. */
function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1];
    if (x !== y && x !== 1 && y !== 1) throw new Error(`shapes [${a}] and [${b}] do not broadcast`);
    return x === 1 ? y : x;
  });
}

/** Element-wise on the host, NumPy broadcasting. */
export function hostBinary(
  a: HostTensor,
  b: HostTensor,
  f: (x: number, y: number) => number,
  dtype = a.dtype,
): HostTensor {
  const [sa, sb] = [a.array.shape, b.array.shape];
  const shape = broadcastShape(sa, sb);
  const total = shape.reduce((p, d) => p * d, 1);
  const out = new Float64Array(total);
  for (let i = 0; i < total; i++) {
    let [rest, ia, ib, strideA, strideB] = [i, 0, 0, 1, 1];
    for (let d = shape.length - 1; d >= 0; d--) {
      const at = rest % shape[d]!;
      rest = Math.floor(rest / shape[d]!);
      const [da, db] = [d - shape.length + sa.length, d - shape.length + sb.length];
      if (da >= 0) {
        if (sa[da] !== 1) ia += at * strideA;
        strideA *= sa[da]!;
      }
      if (db >= 0) {
        if (sb[db] !== 1) ib += at * strideB;
        strideB *= sb[db]!;
      }
    }
    out[i] = f(a.array.data[ia]!, b.array.data[ib]!);
  }
  return host(dtype, shape, out);
}

const binary =
  (onHost: (x: number, y: number, integer: boolean) => number, onTensor: Binary) =>
  ([a, b]: Inputs): Value => {
    if (isHost(a) && isHost(b)) {
      const integer = !isFloatType(a.dtype);
      return hostBinary(a, b, (x, y) => onHost(x, y, integer));
    }
    return onTensor(toTensor(a!), toTensor(b!));
  };

export const Add = binary((x, y) => x + y, tf.add);
export const Sub = binary((x, y) => x - y, tf.sub);
export const Mul = binary((x, y) => x * y, tf.mul);
export const Div = binary(
  (x, y, integer) => (integer ? Math.trunc(x / y) : x / y),
  (a, b) =>
    a.dtype === "float32"
      ? tf.div(a, b)
      : tf.cast(tf.div(tf.cast(a, "float32"), tf.cast(b, "float32")), "int32"),
);

/** Pow with a constant exponent stays differentiable at negative bases: x² and x³ are products, x^½ a root. */
export function Pow([x, y]: Inputs): Value {
  if (isHost(x) && isHost(y)) return hostBinary(x, y, (a, b) => a ** b);
  const base = toTensor(x!);
  if (isHost(y) && y.array.data.length === 1 && y.array.shape.length <= base.rank) {
    const exponent = y.array.data[0]!;
    if (exponent === 1) return base;
    if (exponent === 2) return tf.mul(base, base);
    if (exponent === 3) return tf.mul(base, tf.mul(base, base));
    if (exponent === 0.5) return tf.sqrt(base);
    if (exponent === -1) return tf.reciprocal(base);
  }
  return tf.pow(base, tf.cast(toTensor(y!), base.dtype as "float32"));
}

export function Mod([a, b]: Inputs, { fmod = 0 }: { fmod?: number }): Value {
  const remainder = (x: number, y: number) => (fmod ? x % y : ((x % y) + y) % y);
  if (isHost(a) && isHost(b)) return hostBinary(a, b, remainder);
  const [x, y] = [toTensor(a!), toTensor(b!)];
  if (!fmod) return tf.mod(x, y);
  const quotient = tf.div(x, y);
  const truncated = tf.mul(tf.sign(quotient), tf.floor(tf.abs(quotient)));
  return tf.sub(x, tf.mul(truncated, y));
}

const unary =
  (onHost: (x: number) => number, onTensor: (x: tf.Tensor) => tf.Tensor) =>
  ([x]: Inputs): Value =>
    isHost(x) ? host(x.dtype, x.array.shape, Array.from(x.array.data, onHost)) : onTensor(x as tf.Tensor);

const roundHalfEven = (x: number) => {
  const r = Math.round(x);
  return Math.abs(x % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r;
};

export const Sqrt = unary(Math.sqrt, tf.sqrt);
export const Exp = unary(Math.exp, tf.exp);
export const Log = unary(Math.log, tf.log);
export const Neg = unary((x) => -x, tf.neg);
export const Abs = unary(Math.abs, tf.abs);
export const Reciprocal = unary((x) => 1 / x, tf.reciprocal);
export const Floor = unary(Math.floor, tf.floor);
export const Ceil = unary(Math.ceil, tf.ceil);
export const Round = unary(roundHalfEven, tf.round);
export const Sign = unary(Math.sign, tf.sign);
export const Sin = unary(Math.sin, tf.sin);
export const Cos = unary(Math.cos, tf.cos);
export const Tan = unary(Math.tan, tf.tan);
export const Asin = unary(Math.asin, tf.asin);
export const Acos = unary(Math.acos, tf.acos);
export const Atan = unary(Math.atan, tf.atan);
export const Sinh = unary(Math.sinh, tf.sinh);
export const Cosh = unary(Math.cosh, tf.cosh);
export const Asinh = unary(Math.asinh, tf.asinh);
export const Acosh = unary(Math.acosh, tf.acosh);
export const Atanh = unary(Math.atanh, tf.atanh);
export const Erf = ([x]: Inputs): Value => tf.erf(toTensor(x!));

const variadic =
  (onHost: (x: number, y: number) => number, onTensor: Binary) =>
  (inputs: Inputs): Value =>
    (inputs as readonly Value[]).reduce((a, b) =>
      isHost(a) && isHost(b) ? hostBinary(a, b, onHost) : onTensor(toTensor(a), toTensor(b)),
    );

/** tfjs's gradients of maximum and minimum do not undo broadcasting. */
const sameShaped =
  (f: Binary): Binary =>
  (a, b) => {
    const shape = broadcastShape(a.shape, b.shape);
    return f(expand(a, shape), expand(b, shape));
  };
export const Min = variadic(Math.min, sameShaped(tf.minimum));
export const Max = variadic(Math.max, sameShaped(tf.maximum));
export const Sum = variadic((x, y) => x + y, tf.add);
export const Mean = (inputs: Inputs): Value => tf.div(toTensor(Sum(inputs)), tf.scalar(inputs.length));
