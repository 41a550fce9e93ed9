import { tf } from "../tf.ts";
import type { KernelName } from "./attributes.ts";
import { broadcastShape, mapPairs, sumTo } from "./broadcast.ts";
import { defineKernel } from "./custom.ts";

type Binary = (a: tf.Tensor, b: tf.Tensor) => tf.Tensor;

/** Computes in plain JavaScript, on every eager backend. */
const onNumbers = (
  [a, b]: readonly tf.Tensor[],
  f: (x: number, y: number) => number,
  dtype: "int32" | "float32",
): tf.Tensor => {
  const values = mapPairs(
    { shape: a!.shape, data: a!.dataSync() },
    { shape: b!.shape, data: b!.dataSync() },
    f,
  );
  const typed = dtype === "int32" ? Int32Array.from(values) : Float32Array.from(values);
  return tf.tensor(typed, broadcastShape(a!.shape, b!.shape), dtype);
};

type IntegerKernel =
  | "OnnxIntegerDiv"
  | "OnnxIntegerMul"
  | "OnnxIntegerPow"
  | (`Onnx${"Bitwise" | "Shift"}${string}` & KernelName);

/** A kernel on int32, exact where tfjs computes in float32. Integers have no gradient. */
const integer = (name: IntegerKernel, f: (x: number, y: number) => number): Binary => {
  const kernel = defineKernel({
    name,
    composed: (inputs) => onNumbers(inputs, f, "int32"),
    gradient: () => [],
  });
  return (a, b) => kernel([a, b], {});
};

/** Truncates toward zero. */
export const integerDivide = integer("OnnxIntegerDiv", (x, y) => Math.trunc(x / y));
export const integerMultiply = integer("OnnxIntegerMul", Math.imul);
/** The exponent may be float32; the result is truncated to the base's type. */
export const integerPower = integer("OnnxIntegerPow", (x, y) => Math.trunc(x ** y));
export const bitwiseAnd = integer("OnnxBitwiseAnd", (x, y) => x & y);
export const bitwiseOr = integer("OnnxBitwiseOr", (x, y) => x | y);
export const bitwiseXor = integer("OnnxBitwiseXor", (x, y) => x ^ y);
export const shiftLeft = integer("OnnxShiftLeft", (x, y) => x << y);
export const shiftRight = integer("OnnxShiftRight", (x, y) => x >>> y);

/** The remainder with the sign of the divisor, or with fmod that of the dividend. */
export const remainder = (x: number, y: number, fmod: boolean) => (fmod ? x % y : ((x % y) + y) % y);
const modKernel = defineKernel({
  name: "OnnxMod",
  composed: (inputs, { fmod }) =>
    onNumbers(inputs, (x, y) => remainder(x, y, fmod), inputs[0]!.dtype as "int32" | "float32"),
  // a − b·trunc(a/b): the quotient is constant between its jumps.
  gradient: (dy, [a, b]) =>
    a!.dtype === "int32"
      ? []
      : [
          () => sumTo(dy, a!.shape),
          () => {
            const quotient = tf.div(a!, b!);
            const truncated = tf.mul(tf.sign(quotient), tf.floor(tf.abs(quotient)));
            return sumTo(tf.neg(tf.mul(dy, truncated)), b!.shape);
          },
        ],
});
export const modulo = (a: tf.Tensor, b: tf.Tensor, fmod: boolean): tf.Tensor => modKernel([a, b], { fmod });

const rootKernel = defineKernel({
  name: "OnnxNormRoot",
  composed: ([x]) => tf.sqrt(x!),
  gradient: (dy, _x, y) => [
    () => {
      const zero = tf.equal(y, tf.scalar(0));
      const safe = tf.add(y, tf.cast(zero, "float32"));
      return tf.mul(tf.div(dy, tf.mul(safe, tf.scalar(2))), tf.cast(tf.logicalNot(zero), "float32"));
    },
  ],
});
/** √x of a sum of squares. Its gradient at 0 is 0 by definition; the root's own is infinite and gives NaN. */
export const normRoot = (x: tf.Tensor): tf.Tensor => rootKernel([x], {});

const matMulKernel = defineKernel({
  name: "OnnxIntegerMatMul",
  composed: ([a, b]) => {
    const [m, k] = a!.shape.slice(-2) as [number, number];
    const n = b!.shape[b!.rank - 1]!;
    const [x, y] = [a!.dataSync(), b!.dataSync()];
    const out = new Int32Array((a!.size / k) * n);
    for (let row = 0; row < out.length / n; row++) {
      const from = Math.floor(row / m) * k * n;
      for (let i = 0; i < k; i++) {
        const factor = x[row * k + i]!;
        for (let j = 0; j < n; j++) out[row * n + j]! += Math.imul(factor, y[from + i * n + j]!);
      }
    }
    return tf.tensor(out, [...a!.shape.slice(0, -1), n], "int32");
  },
  gradient: () => [],
});
/** [batch…, m, k] · [batch…, k, n] of int32 with equal batch axes; sums wrap around as 32 bits do. */
export const integerMatMul = (a: tf.Tensor, b: tf.Tensor): tf.Tensor => matMulKernel([a, b], {});

const truncateKernel = defineKernel({
  name: "OnnxTruncate",
  composed: ([x], { to }) => tf.cast(x!, to),
  gradient: () => [],
});
/** Casts float32 to int32 or bool, with gradient zero; tfjs's own cast would pass the gradient through. */
export const truncate = (x: tf.Tensor, to: "int32" | "bool"): tf.Tensor => truncateKernel([x], { to });

const absoluteKernel = defineKernel({
  name: "OnnxAbs",
  composed: ([x]) => tf.abs(x!),
  gradient: (dy, [x]) => [() => tf.mul(dy, tf.sign(x!))],
});
/** |x| on float32. Its gradient at 0 is 0, as in PyTorch; tfjs's is −1. */
export const absolute = (x: tf.Tensor): tf.Tensor => absoluteKernel([x], {});
