import type { TensorInfo } from "@tensorflow/tfjs-core";
import type { ConvAttributes } from "../../kernels/window.ts";
import type { EmittedAttribute, GraphBuilder, Operand } from "../graph-builder.ts";

export const convAttributes = (
  a: Pick<ConvAttributes, "kernel" | "strides" | "dilations" | "pads" | "group">,
): Record<string, EmittedAttribute> => ({
  kernel_shape: { ints: a.kernel },
  strides: { ints: a.strides },
  dilations: { ints: a.dilations },
  pads: { ints: a.pads },
  group: { int: a.group },
});

/**
 * Another shape of the same elements, as a node of its own: unlike `reshape` of standard.ts it does not merge
 * with a Reshape before it.
 */
export const viewAs = (builder: GraphBuilder, x: TensorInfo, shape: readonly number[]): TensorInfo =>
  shape.length === x.shape.length && shape.every((d, i) => d === x.shape[i])
    ? x
    : builder.emit("Reshape", [x, builder.ints(shape)], shape, x.dtype);

/** Sum over the first axis. */
export const sumFirst = (builder: GraphBuilder, x: TensorInfo): TensorInfo =>
  x.shape[0] === 1
    ? viewAs(builder, x, x.shape.slice(1))
    : builder.emit("ReduceSum", [x, builder.ints([0])], x.shape.slice(1), x.dtype, { keepdims: { int: 0 } });

/** The first `shape[i]` elements along every axis. */
export const crop = (builder: GraphBuilder, x: TensorInfo, shape: readonly number[]): TensorInfo => {
  const axes = shape.map((_, i) => i).filter((i) => shape[i] !== x.shape[i]);
  if (axes.length === 0) return x;
  const ends: Operand = builder.ints(axes.map((i) => shape[i]!));
  return builder.emit(
    "Slice",
    [x, builder.ints(axes.map(() => 0)), ends, builder.ints(axes)],
    shape,
    x.dtype,
  );
};
