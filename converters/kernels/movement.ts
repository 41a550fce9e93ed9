import { elementCount, sameDims } from "../dims.ts";
import { tf } from "../tf.ts";
import { sumTo } from "./broadcast.ts";
import { defineKernel, type Kernel } from "./custom.ts";

/** Indices along one axis that a slice takes. */
const taken = (begin: number, length: number, stride: number) =>
  Array.from({ length }, (_, i) => begin + i * stride);

/** Gathers the indices taken along each axis in turn. */
const sliceKernel = defineKernel({
  name: "OnnxSlice",
  composed: ([x], { begin, shape, stride }) => {
    let y = x!;
    begin.forEach((b, axis) => {
      if (stride[axis] === 1 && b === 0 && shape[axis] === y.shape[axis]) return;
      y = tf.gather(y, tf.tensor1d(taken(b, shape[axis]!, stride[axis]!), "int32"), axis);
    });
    return y;
  },
  gradient: (dy, _inputs, _y, attributes) => [() => sliceGradKernel([dy], attributes)],
});
/** Zeros of the source's shape with dy at the sliced indices. */
const sliceGradKernel = defineKernel({
  name: "OnnxSliceGrad",
  composed: ([dy], { begin, shape, stride, source }) => {
    let y = dy!;
    source.forEach((length, axis) => {
      if (stride[axis] === 1 && begin[axis] === 0 && shape[axis] === length) return;
      const places = new Map(taken(begin[axis]!, shape[axis]!, stride[axis]!).map((at, i) => [at, i]));
      const zero = shape[axis]!;
      const padded = tf.concat([y, tf.zeros(y.shape.map((d, i) => (i === axis ? 1 : d)))], axis);
      const order = Array.from({ length }, (_, i) => places.get(i) ?? zero);
      y = tf.gather(padded, tf.tensor1d(order, "int32"), axis);
    });
    return y;
  },
});

/** ONNX Slice with resolved starts, output shape and steps (negative ones too; 1 by default). */
export function slice(
  x: tf.Tensor,
  begin: readonly number[],
  shape: readonly number[],
  stride: readonly number[] = begin.map(() => 1),
): tf.Tensor {
  if (begin.every((b, i) => b === 0 && stride[i] === 1 && shape[i] === x.shape[i])) return x;
  return sliceKernel([x], { begin, shape, stride, source: x.shape });
}

const gatherKernel = defineKernel({
  name: "OnnxGather",
  composed: ([x, indices], { axis }) => {
    const length = x!.shape[axis]!;
    const wrapped = tf.where(
      tf.less(indices!, tf.scalar(0, "int32")),
      tf.add(indices!, tf.scalar(length, "int32")),
      indices!,
    );
    return tf.gather(x!, tf.cast(wrapped, "int32"), axis);
  },
  gradient: (dy, [, indices], _y, attributes) => [
    () => gatherGradKernel([dy, indices!], attributes),
    undefined,
  ],
});
/** Adds the slices of dy at their indices; equal indices add up. */
const gatherGradKernel = defineKernel({
  name: "OnnxGatherGrad",
  composed: ([dy, indices], { axis, source }) => {
    const count = indices!.size;
    const outer = elementCount(source.slice(0, axis));
    const inner = elementCount(source.slice(axis + 1));
    const length = source[axis]!;
    const flat = tf.reshape(indices!, [count]);
    const wrapped = tf.where(
      tf.less(flat, tf.scalar(0, "int32")),
      tf.add(flat, tf.scalar(length, "int32")),
      flat,
    );
    const rows = tf.reshape(tf.transpose(tf.reshape(dy!, [outer, count, inner]), [1, 0, 2]), [
      count,
      outer * inner,
    ]);
    const sums = tf.scatterND(tf.cast(tf.reshape(wrapped, [count, 1]), "int32"), rows, [
      length,
      outer * inner,
    ]);
    return tf.reshape(tf.transpose(tf.reshape(sums, [length, outer, inner]), [1, 0, 2]), [...source]);
  },
});
/** ONNX Gather on float data; int32 indices may be negative. */
export const gather = (x: tf.Tensor, indices: tf.Tensor, axis: number): tf.Tensor =>
  gatherKernel([x, indices], { axis, source: x.shape });

const expandKernel = defineKernel({
  name: "OnnxExpand",
  composed: ([x], { shape }) => {
    const lifted = tf.reshape(x!, [...Array(shape.length - x!.rank).fill(1), ...x!.shape]);
    const ones = tf.ones([...shape], x!.dtype === "bool" ? "int32" : x!.dtype);
    const y = tf.mul(x!.dtype === "bool" ? tf.cast(lifted, "int32") : lifted, ones);
    return x!.dtype === "bool" ? tf.cast(y, "bool") : y;
  },
  gradient: (dy, [x]) => [() => sumTo(dy, x!.shape)],
});
/** ONNX Expand: broadcasting as an operator. */
export const expand = (x: tf.Tensor, shape: readonly number[]): tf.Tensor =>
  sameDims(x.shape, shape) ? x : expandKernel([x], { shape });

const whereKernel: Kernel<object> = defineKernel({
  name: "OnnxWhere",
  composed: ([c, a, b]) => tf.where(tf.cast(c!, "bool"), a!, b!),
  gradient: (dy, [c]) => [
    undefined,
    () => whereKernel([c!, dy, tf.zerosLike(dy)], {}),
    () => whereKernel([c!, tf.zerosLike(dy), dy], {}),
  ],
});
/** Element-wise choice; all three of one shape. */
export const where = (c: tf.Tensor, a: tf.Tensor, b: tf.Tensor): tf.Tensor => whereKernel([c, a, b], {});
