import { notTrainable } from "../../errors.ts";
import { roundHalfEven } from "../../graph/quantised-weights.ts";
import {
  absolute,
  bitwiseAnd,
  bitwiseOr,
  bitwiseXor,
  integerDivide,
  integerMultiply,
  integerPower,
  modulo,
  remainder,
  shiftLeft,
  shiftRight,
} from "../../kernels/arithmetic.ts";
import { broadcastShape, mapPairs } from "../../kernels/broadcast.ts";
import { expand } from "../../kernels/movement.ts";
import type { DataType } from "../../onnx/model.ts";
import { tf } from "../../tf.ts";
import { facts, type OperatorFacts, operator, plain } from "../operator.ts";
import {
  type HostTensor,
  host,
  type Inputs,
  isFloatType,
  isHost,
  type OperatorContext,
  toTensor,
  type Value,
} from "../value.ts";

const arithmetic: OperatorFacts = { ...plain, integers: "wraps", freezesNumbers: true };
const keeping: OperatorFacts = { ...plain, integers: "keeps" };
const zero: OperatorFacts = { ...plain, gradient: "zero" };
const wrapping: OperatorFacts = { ...plain, integers: "wraps" };
const extreme: OperatorFacts = { ...keeping, freezesNumbers: true };
const keepingZero: OperatorFacts = { ...keeping, gradient: "zero" };

type Binary = (a: tf.Tensor, b: tf.Tensor) => tf.Tensor;

const UNSIGNED: Partial<Record<DataType, number>> = { uint8: 8, uint16: 16, uint32: 32 };
const SIGNED: Partial<Record<DataType, number>> = { int8: 8, int16: 16 };
const wrapped = (v: number, bits: number) => ((v % 2 ** bits) + 2 ** bits) % 2 ** bits;
/** Rounds or wraps a host result to its element type; int64 is exact up to 2^53. */
export const stored = (dtype: DataType): ((v: number) => number) => {
  if (dtype === "float32") return Math.fround;
  if (dtype === "int32") return (v) => v | 0;
  if (dtype === "bool") return (v) => Number(v !== 0);
  const [unsigned, signed] = [UNSIGNED[dtype], SIGNED[dtype]];
  if (unsigned) return (v) => wrapped(v, unsigned);
  return signed ? (v) => wrapped(v + 2 ** (signed - 1), signed) - 2 ** (signed - 1) : (v) => v;
};

/** Wraps an int32 tensor to the range of a narrower type. */
export function storedTensor(x: tf.Tensor, dtype: DataType): tf.Tensor {
  const [unsigned, signed] = [UNSIGNED[dtype], SIGNED[dtype]];
  const number = (v: number) => tf.scalar(v, "int32");
  const low = (v: tf.Tensor, bits: number) => bitwiseAnd(v, number(2 ** bits - 1));
  if (unsigned && unsigned < 32) return low(x, unsigned);
  if (!signed) return x;
  const half = number(2 ** (signed - 1));
  return tf.sub(low(tf.add(x, half), signed), half);
}

/** Element-wise on the host, NumPy broadcasting. */
export function hostBinary(
  a: HostTensor,
  b: HostTensor,
  f: (x: number, y: number) => number,
  dtype = a.dtype,
): HostTensor {
  const operand = ({ array }: HostTensor) => ({ shape: array.shape, data: array.data });
  const values = mapPairs(operand(a), operand(b), f);
  return host(dtype, broadcastShape(a.array.shape, b.array.shape), values.map(stored(dtype)));
}
/** Element-wise function of a host value. */
export const hostUnary = (x: HostTensor, f: (x: number) => number, dtype = x.dtype): HostTensor =>
  host(dtype, x.array.shape, x.array.data.map(f).map(stored(dtype)));

const binary = (
  facts: OperatorFacts,
  onHost: (x: number, y: number, dtype: DataType) => number,
  onFloats: Binary,
  onIntegers = onFloats,
) =>
  operator(facts, ([a, b]: Inputs): Value => {
    if (isHost(a) && isHost(b)) return hostBinary(a, b, (x, y) => onHost(x, y, a.dtype));
    const [x, y] = [toTensor(a!), toTensor(b!)];
    return x.dtype === "float32" ? onFloats(x, y) : onIntegers(x, y);
  });

export const Add = binary(arithmetic, (x, y) => x + y, tf.add);
export const Sub = binary(arithmetic, (x, y) => x - y, tf.sub);
export const Mul = binary(
  arithmetic,
  (x, y, dtype) => (dtype === "int32" ? Math.imul(x, y) : x * y),
  tf.mul,
  integerMultiply,
);
/** Integers truncate toward zero. */
export const Div = binary(
  { ...keeping, freezesNumbers: true },
  (x, y, dtype) => (isFloatType(dtype) ? x / y : Math.trunc(x / y)),
  tf.div,
  integerDivide,
);

/**
 * Pow with a constant exponent stays differentiable at negative bases: x² and x³ are products, x^½ a root.
 */
export function Pow([x, y]: Inputs): Value {
  if (isHost(x) && isHost(y)) {
    const finish = isFloatType(x.dtype) ? (v: number) => v : Math.trunc;
    return hostBinary(x, y, (a, b) => finish(a ** b));
  }
  const base = toTensor(x!);
  if (base.dtype !== "float32") return integerPower(base, toTensor(y!));
  if (isHost(y) && y.array.data.length === 1 && y.array.shape.length <= base.rank) {
    const exponent = y.array.data[0]!;
    if (exponent === 0) return tf.onesLike(base);
    if (exponent === 1) return base;
    if (exponent === 2) return tf.mul(base, base);
    if (exponent === 3) return tf.mul(base, tf.mul(base, base));
    if (exponent === 0.5) return tf.sqrt(base);
    if (exponent === -1) return tf.reciprocal(base);
  }
  return tf.pow(base, tf.cast(toTensor(y!), "float32"));
}
Pow.facts = facts({ ...plain, freezesNumbers: true });

export function Mod([a, b]: Inputs, { fmod = 0 }: { fmod?: number }): Value {
  if (isHost(a) && isHost(b)) return hostBinary(a, b, (x, y) => remainder(x, y, fmod !== 0));
  return modulo(toTensor(a!), toTensor(b!), fmod !== 0);
}
Mod.facts = keeping;

/** Bitwise on numbers above 2^31 too, which JavaScript's own operators would truncate. */
const bits =
  (f: (x: bigint, y: bigint) => bigint) =>
  (x: number, y: number): number =>
    Number(f(BigInt(x), BigInt(y)));
const xor = bits((x, y) => x ^ y);
export const BitwiseAnd = binary(
  keepingZero,
  bits((x, y) => x & y),
  bitwiseAnd,
);
export const BitwiseOr = binary(
  keepingZero,
  bits((x, y) => x | y),
  bitwiseOr,
);
export const BitwiseXor = binary(keepingZero, xor, bitwiseXor);
export const BitwiseNot = ([x]: Inputs): Value =>
  isHost(x)
    ? hostUnary(x, (v) => -1 - v)
    : bitwiseXor(toTensor(x!), tf.fill((x as tf.Tensor).shape, -1, "int32"));
BitwiseNot.facts = facts({ ...zero, integers: "wraps" });
/** Unsigned integers. */
export function BitShift(
  [x, y]: Inputs,
  { direction }: { direction: string },
  context: OperatorContext,
): Value {
  if (direction !== "LEFT" && direction !== "RIGHT")
    throw notTrainable(
      "BITSHIFT_DIRECTION",
      `${context.where}: direction must be LEFT or RIGHT, not "${direction}".`,
    );
  const left = direction === "LEFT";
  if (isHost(x) && isHost(y)) return hostBinary(x, y, left ? bits((v, n) => v << n) : bits((v, n) => v >> n));
  return (left ? shiftLeft : shiftRight)(toTensor(x!), toTensor(y!));
}
BitShift.facts = facts({
  ...zero,
  integers: "wraps",
  note: "on data a left shift of 32- or 64-bit integers may not overflow: they are carried as int32",
});

const unary = (
  facts: OperatorFacts,
  onHost: (x: number) => number,
  onFloats: (x: tf.Tensor) => tf.Tensor,
  onIntegers = onFloats,
) =>
  operator(facts, ([x]: Inputs): Value => {
    if (isHost(x)) return hostUnary(x, onHost);
    const t = x as tf.Tensor;
    return t.dtype === "float32" ? onFloats(t) : onIntegers(t);
  });

export const Sqrt = unary(plain, Math.sqrt, tf.sqrt);
export const Exp = unary(plain, Math.exp, tf.exp);
export const Log = unary(plain, Math.log, tf.log);
export const Neg = unary(wrapping, (x) => -x, tf.neg);
/** tfjs's abs turns integers into float32. */
export const Abs = unary(wrapping, Math.abs, absolute, (x) => tf.maximum(x, tf.neg(x)));
export const Reciprocal = unary(plain, (x) => 1 / x, tf.reciprocal);
export const Floor = unary(zero, Math.floor, tf.floor);
export const Ceil = unary(zero, Math.ceil, tf.ceil);
export const Round = unary(zero, roundHalfEven, tf.round);
export const Sign = unary(keepingZero, Math.sign, tf.sign);
export const Sin = unary(plain, Math.sin, tf.sin);
export const Cos = unary(plain, Math.cos, tf.cos);
export const Tan = unary(plain, Math.tan, tf.tan);
export const Asin = unary(plain, Math.asin, tf.asin);
export const Acos = unary(plain, Math.acos, tf.acos);
export const Atan = unary(plain, Math.atan, tf.atan);
export const Sinh = unary(plain, Math.sinh, tf.sinh);
export const Cosh = unary(plain, Math.cosh, tf.cosh);
export const Asinh = unary(plain, Math.asinh, tf.asinh);
export const Acosh = unary(plain, Math.acosh, tf.acosh);
export const Atanh = unary(plain, Math.atanh, tf.atanh);

/** Abramowitz and Stegun 7.1.6 near zero, 7.1.14 (a continued fraction) further out. */
function erf(x: number): number {
  const z = Math.abs(x);
  if (!(z > 0)) return x;
  if (z > 6) return Math.sign(x);
  if (z < 2.5) {
    let [term, sum] = [z, z];
    for (let n = 1; term > 1e-17 * sum; n++) {
      term *= (2 * z * z) / (2 * n + 1);
      sum += term;
    }
    return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * Math.exp(-z * z) * sum;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / (z + fraction));
}
export const Erf = unary(plain, erf, tf.erf);

const variadic = (facts: OperatorFacts, onHost: (x: number, y: number) => number, onTensor: Binary) =>
  operator(
    facts,
    (inputs: Inputs): Value =>
      (inputs as readonly Value[]).reduce((a, b) =>
        isHost(a) && isHost(b) ? hostBinary(a, b, onHost) : onTensor(toTensor(a), toTensor(b)),
      ),
  );

/** Broadcasts first: tfjs's gradients of maximum and minimum do not sum over broadcast axes. */
const sameShaped =
  (f: Binary): Binary =>
  (a, b) => {
    const shape = broadcastShape(a.shape, b.shape);
    return f(expand(a, shape), expand(b, shape));
  };
export const Min = variadic(extreme, Math.min, sameShaped(tf.minimum));
export const Max = variadic(extreme, Math.max, sameShaped(tf.maximum));
export const Sum = variadic(plain, (x, y) => x + y, tf.add);
export function Mean(inputs: Inputs): Value {
  const sum = Sum(inputs);
  const count = inputs.length;
  return isHost(sum) ? hostUnary(sum, (v) => v / count) : tf.div(sum, tf.scalar(count));
}
Mean.facts = plain;
