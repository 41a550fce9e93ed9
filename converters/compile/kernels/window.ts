import type { TensorInfo } from "@tensorflow/tfjs-core";
import type { ConvAttributes } from "../../kernels/window.ts";
import type { EmittedAttribute, Operand, Trace } from "../trace.ts";

export const convAttributes = (
  a: Pick<ConvAttributes, "kernel" | "strides" | "dilations" | "pads" | "group">,
): Record<string, EmittedAttribute> => ({
  kernel_shape: { ints: a.kernel },
  strides: { ints: a.strides },
  dilations: { ints: a.dilations },
  pads: { ints: a.pads },
  group: { int: a.group },
});

export const viewAs = (trace: Trace, x: TensorInfo, shape: readonly number[]): TensorInfo =>
  shape.length === x.shape.length && shape.every((d, i) => d === x.shape[i])
    ? x
    : trace.emit("Reshape", [x, trace.ints(shape)], shape, x.dtype);

/** Sum over the first axis. */
export const sumFirst = (trace: Trace, x: TensorInfo): TensorInfo =>
  x.shape[0] === 1
    ? viewAs(trace, x, x.shape.slice(1))
    : trace.emit("ReduceSum", [x, trace.ints([0])], x.shape.slice(1), x.dtype, { keepdims: { int: 0 } });

/** The first `shape[i]` places of every axis. */
export const crop = (trace: Trace, x: TensorInfo, shape: readonly number[]): TensorInfo => {
  const axes = shape.map((_, i) => i).filter((i) => shape[i] !== x.shape[i]);
  if (axes.length === 0) return x;
  const ends: Operand = trace.ints(axes.map((i) => shape[i]!));
  return trace.emit("Slice", [x, trace.ints(axes.map(() => 0)), ends, trace.ints(axes)], shape, x.dtype);
};
