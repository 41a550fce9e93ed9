import type { TensorInfo } from "@tensorflow/tfjs-core";
import { sameDims } from "../../dims.ts";
import type { ConvAttributes, Window } from "../../kernels/window.ts";
import type { EmittedAttribute, GraphBuilder, Operand } from "../graph-builder.ts";

export const windowAttributes = (a: Window): Record<string, EmittedAttribute> => ({
  kernel_shape: { ints: a.kernel },
  strides: { ints: a.strides },
  dilations: { ints: a.dilations },
  pads: { ints: a.pads },
});
export const convAttributes = (
  a: Window & Pick<ConvAttributes, "group">,
): Record<string, EmittedAttribute> => ({
  ...windowAttributes(a),
  group: { int: a.group },
});

/** A Transpose node. */
export const permuted = (graph: GraphBuilder, x: TensorInfo, perm: readonly number[]): TensorInfo =>
  graph.emit(
    "Transpose",
    [x],
    perm.map((axis) => x.shape[axis]!),
    x.dtype,
    { perm: { ints: perm } },
  );

/**
 * Another shape of the same elements, always as a new node: unlike `reshape` of standard.ts, it does not
 * merge with a Reshape before it.
 */
export const viewAs = (graph: GraphBuilder, x: TensorInfo, shape: readonly number[]): TensorInfo =>
  sameDims(shape, x.shape) ? x : graph.emit("Reshape", [x, graph.ints(shape)], shape, x.dtype);

/** Sum over the first axis. */
export const sumFirst = (graph: GraphBuilder, x: TensorInfo): TensorInfo =>
  x.shape[0] === 1
    ? viewAs(graph, x, x.shape.slice(1))
    : graph.emit("ReduceSum", [x, graph.ints([0])], x.shape.slice(1), x.dtype, { keepdims: { int: 0 } });

/** The first `shape[i]` elements along every axis. */
export const crop = (graph: GraphBuilder, x: TensorInfo, shape: readonly number[]): TensorInfo => {
  const axes = shape.map((_, i) => i).filter((i) => shape[i] !== x.shape[i]);
  if (axes.length === 0) return x;
  const ends: Operand = graph.ints(axes.map((i) => shape[i]!));
  return graph.emit("Slice", [x, graph.ints(axes.map(() => 0)), ends, graph.ints(axes)], shape, x.dtype);
};
