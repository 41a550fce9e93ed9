import { elementCount, positiveAxis } from "../../dims.ts";
import { absolute, integerDivide, integerMultiply, normRoot } from "../../kernels/arithmetic.ts";
import { slice } from "../../kernels/movement.ts";
import { cumulativeSum, peak, reduceMax, reduceMin } from "../../kernels/reduction.ts";
import { tf } from "../../tf.ts";
import { alongInput, facts, type OperatorFacts, operator, plain } from "../operator.ts";
import {
  dimsOf,
  type HostTensor,
  host,
  type Inputs,
  isFloatType,
  isHost,
  type OperatorContext,
  toNumbers,
  toTensor,
  type Value,
} from "../value.ts";
import { stored } from "./elementwise.ts";

interface ReductionAttributes {
  readonly axes?: readonly number[];
  readonly keepdims?: number;
  readonly noop_with_empty_axes?: number;
}

/** The shape with reduced axes of length 1. */
const keptShape = (dims: readonly number[], axes: readonly number[]) =>
  dims.map((d, i) => (axes.includes(i) ? 1 : d));
const droppedShape = (dims: readonly number[], axes: readonly number[]) =>
  dims.filter((_, i) => !axes.includes(i));

/** The values that are reduced to each element of the result, in row-major order. */
function groups({ array }: HostTensor, axes: readonly number[]): number[][] {
  const dims = array.shape;
  const kept = keptShape(dims, axes);
  const rows: number[][] = Array.from({ length: elementCount(kept) }, () => []);
  for (let i = 0; i < array.data.length; i++) {
    let [rest, place, stride] = [i, 0, 1];
    for (let d = dims.length - 1; d >= 0; d--) {
      const at = rest % dims[d]!;
      rest = Math.floor(rest / dims[d]!);
      if (!axes.includes(d)) place += at * stride;
      stride *= kept[d]!;
    }
    rows[place]!.push(array.data[i]!);
  }
  return rows;
}

interface Reduction extends Partial<OperatorFacts> {
  /** Float32; the reduced axes stay, with length 1. */
  readonly onFloats: (x: tf.Tensor, axes: number[]) => tf.Tensor;
  /** Int32, likewise; by default through float32 and truncated, which is exact below 2^24. */
  readonly onIntegers?: (x: tf.Tensor, axes: number[]) => tf.Tensor;
  readonly onHost: (values: readonly number[]) => number;
}
const sumOf = (v: readonly number[]) => v.reduce((a, b) => a + b, 0);

/** Axes are an attribute (old opsets) or the second input. No axes means all, unless noop_with_empty_axes. */
const reduction = ({ onFloats, onIntegers, onHost, ...own }: Reduction) =>
  operator(
    { ...plain, ...own },
    (
      [x, axesInput]: Inputs,
      { axes, keepdims = 1, noop_with_empty_axes = 0 }: ReductionAttributes,
      context: OperatorContext,
    ): Value => {
      const dims = dimsOf(x!);
      const given = axesInput === undefined ? [...(axes ?? [])] : toNumbers(axesInput, "axes", context);
      const all = given.length === 0 && noop_with_empty_axes === 0 ? dims.map((_, i) => i) : given;
      // Without axes to reduce, the element-wise part (square, log …) still applies.
      const wanted = all.map((a) => positiveAxis(a, dims.length));
      const shape = keepdims ? keptShape(dims, wanted) : droppedShape(dims, wanted);
      if (isHost(x)) {
        const finish = isFloatType(x.dtype) ? (v: number) => v : Math.trunc;
        const values = groups(x, wanted).map((row) => stored(x.dtype)(finish(onHost(row))));
        return host(x.dtype, shape, values);
      }
      const t = toTensor(x!);
      if (elementCount(wanted.map((a) => dims[a]!)) === 0) {
        const none = onHost([]);
        const edge = (v: number) => (v === Number.POSITIVE_INFINITY ? 2147483647 : -2147483648);
        const value =
          t.dtype === "float32" || Number.isFinite(none)
            ? none
            : t.dtype === "bool"
              ? Number(none > 0)
              : edge(none);
        return tf.fill(shape, value, t.dtype as "float32");
      }
      const through = (type: "float32" | "int32", f: (v: tf.Tensor, axes: number[]) => tf.Tensor) =>
        tf.cast(f(tf.cast(t, type), wanted), t.dtype);
      const reduced =
        t.dtype === "float32"
          ? onFloats(t, wanted)
          : onIntegers
            ? through("int32", onIntegers)
            : through("float32", onFloats);
      return tf.reshape(reduced, shape);
    },
  );

const sum = (x: tf.Tensor, axes: number[]) => tf.sum(x, axes, true);
const square = (x: tf.Tensor) => tf.mul(x, x);
const magnitude = (x: tf.Tensor) => (x.dtype === "float32" ? absolute(x) : tf.maximum(x, tf.neg(x)));
/** log Σ eˣ, stable: the largest x is subtracted first. */
const logSumExp = (x: tf.Tensor, axes: number[]) => {
  const top = peak(x, axes);
  return tf.add(tf.log(sum(tf.exp(tf.sub(x, top)), axes)), top);
};

/** A slice of x along one axis. */
const partOf = (x: tf.Tensor, axis: number, start: number, length: number) =>
  slice(
    x,
    x.shape.map((_, i) => (i === axis ? start : 0)),
    x.shape.map((d, i) => (i === axis ? length : d)),
  );
/** Product by halving each axis: its gradient is right at zeros too, unlike that of Π·1/x. */
const multiplied = (x: tf.Tensor, axes: number[]) => {
  let y = x;
  for (const axis of axes)
    for (let n = y.shape[axis]!; n > 1; n = y.shape[axis]!) {
      const half = Math.floor(n / 2);
      const pairs = tf.mul(partOf(y, axis, 0, half), partOf(y, axis, half, half));
      y = n % 2 ? tf.concat([pairs, partOf(y, axis, n - 1, 1)], axis) : pairs;
    }
  return y;
};

export const ReduceSum = reduction({ onFloats: sum, onIntegers: sum, onHost: sumOf });
export const ReduceMean = reduction({
  onFloats: (x, axes) => tf.mean(x, axes, true),
  onIntegers: (x, axes) =>
    integerDivide(sum(x, axes), tf.scalar(elementCount(axes.map((a) => x.shape[a]!)), "int32")),
  onHost: (v) => sumOf(v) / v.length,
});
const extreme = (reduce: Reduction["onFloats"], pick: (a: number, b: number) => number, none: number) =>
  reduction({
    integers: "keeps",
    note: "equal extremes share the gradient",
    onFloats: reduce,
    onIntegers: reduce,
    onHost: (v) => v.reduce((a, b) => pick(a, b), none),
  });
export const ReduceMax = extreme(reduceMax, Math.max, Number.NEGATIVE_INFINITY);
export const ReduceMin = extreme(reduceMin, Math.min, Number.POSITIVE_INFINITY);
export const ReduceProd = reduction({
  note: "differentiable at zeros too",
  onFloats: multiplied,
  onIntegers: multiplied,
  onHost: (v) => v.reduce((a, b) => a * b, 1),
});
export const ReduceL1 = reduction({
  onFloats: (x, axes) => sum(magnitude(x), axes),
  onIntegers: (x, axes) => sum(magnitude(x), axes),
  onHost: (v) => sumOf(v.map(Math.abs)),
});
export const ReduceL2 = reduction({
  note: "the gradient of a vector of zeros is zero",
  onFloats: (x, axes) => normRoot(sum(square(x), axes)),
  onHost: (v) => Math.sqrt(sumOf(v.map((x) => x * x))),
});
export const ReduceLogSum = reduction({
  onFloats: (x, axes) => tf.log(sum(x, axes)),
  onHost: (v) => Math.log(sumOf(v)),
});
export const ReduceLogSumExp = reduction({
  onFloats: logSumExp,
  onHost: (v) => Math.log(sumOf(v.map(Math.exp))),
});
export const ReduceSumSquare = reduction({
  onFloats: (x, axes) => sum(square(x), axes),
  onIntegers: (x, axes) => sum(square(x), axes),
  onHost: (v) => sumOf(v.map((x) => x * x)),
});

interface ArgAttributes {
  readonly axis?: number;
  readonly keepdims?: number;
  readonly select_last_index?: number;
}
const argReduction = (
  reduce: (x: tf.Tensor, axis: number) => tf.Tensor,
  beats: (a: number, b: number) => boolean,
) =>
  operator(
    { ...plain, gradient: "zero" },
    ([x]: Inputs, { axis = 0, keepdims = 1, select_last_index = 0 }: ArgAttributes): Value => {
      const dims = dimsOf(x!);
      const at = positiveAxis(axis, dims.length);
      const shape = keepdims ? keptShape(dims, [at]) : droppedShape(dims, [at]);
      if (isHost(x)) {
        const best = (row: number[]) =>
          row.reduce(
            (top, v, i) => (beats(v, row[top]!) || (select_last_index && v === row[top]) ? i : top),
            0,
          );
        return host("int64", shape, groups(x, [at]).map(best));
      }
      const t = toTensor(x!);
      // The last of equal extremes is the first one of the reversed axis.
      const y = select_last_index
        ? tf.sub(tf.scalar(dims[at]! - 1, "int32"), reduce(tf.reverse(t, at), at))
        : reduce(t, at);
      return tf.reshape(y, shape);
    },
  );
export const ArgMax = operator(
  { ...plain, gradient: "zero", tail: "labels" },
  argReduction(
    (x, axis) => tf.argMax(x, axis),
    (a, b) => a > b,
  ),
);
export const ArgMin = argReduction(
  (x, axis) => tf.argMin(x, axis),
  (a, b) => a < b,
);

interface CumulativeAttributes {
  readonly exclusive?: number;
  readonly reverse?: number;
}
export function CumSum(
  [x, axis]: Inputs,
  { exclusive = 0, reverse = 0 }: CumulativeAttributes,
  context: OperatorContext,
): Value {
  const dims = dimsOf(x!);
  const at = positiveAxis(toNumbers(axis, "axis", context)[0]!, dims.length);
  if (!isHost(x)) return cumulativeSum(x!, { axis: at, exclusive: exclusive !== 0, reverse: reverse !== 0 });
  const out = host(x.dtype, dims, x.array.data);
  const inner = elementCount(dims.slice(at + 1));
  const length = dims[at]!;
  for (let start = 0; start < x.array.data.length; start++) {
    if (Math.floor(start / inner) % length !== 0) continue;
    let total = 0;
    for (let k = 0; k < length; k++) {
      const place = start + (reverse ? length - 1 - k : k) * inner;
      const value = x.array.data[place]!;
      out.array.data[place] = stored(x.dtype)(exclusive ? total : total + value);
      total += value;
    }
  }
  return out;
}
CumSum.facts = facts({ mixes: alongInput(1), note: "the axis is a constant" });

/** Cumulative product: pass i multiplies by the entries 2ⁱ places before. Differentiable at zeros too. */
export function CumProd(
  [x, axis]: Inputs,
  { exclusive = 0, reverse = 0 }: CumulativeAttributes,
  context: OperatorContext,
): Value {
  let y = toTensor(x!);
  const at = positiveAxis(toNumbers(axis, "axis", context)[0]!, y.rank);
  const length = y.shape[at]!;
  const flipped = (t: tf.Tensor) => (reverse ? tf.reverse(t, at) : t);
  const times = y.dtype === "float32" ? tf.mul<tf.Tensor> : integerMultiply;
  y = flipped(y);
  for (let step = 1; step < length; step *= 2) {
    const product = times(partOf(y, at, step, length - step), partOf(y, at, 0, length - step));
    y = tf.concat([partOf(y, at, 0, step), product], at);
  }
  if (exclusive && length > 0) {
    const one = tf.fill(keptShape(y.shape, [at]), 1, y.dtype as "float32");
    y = tf.concat([one, partOf(y, at, 0, length - 1)], at);
  }
  return flipped(y);
}
CumProd.facts = facts({ mixes: alongInput(1), note: "the axis is a constant; differentiable at zeros too" });
