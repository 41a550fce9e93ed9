import type { TensorInfo } from "@tensorflow/tfjs-core";
import { elementCount } from "../../dims.ts";
import type { KernelLowerings } from "../graph-builder.ts";

/** Lowerings of converters/kernels/movement.ts. */
export const movementLowerings = {
  OnnxSlice: ({ inputs: [x], attrs: { begin, shape, stride }, graph }) => {
    const axes = begin
      .map((_, i) => i)
      .filter((i) => begin[i] !== 0 || stride[i] !== 1 || shape[i] !== x!.shape[i]);
    const end = axes.map((i) => {
      const last = begin[i]! + shape[i]! * stride[i]!;
      return last < 0 ? -x!.shape[i]! - 1 : last;
    });
    return graph.emit(
      "Slice",
      [
        x!,
        graph.ints(axes.map((i) => begin[i]!)),
        graph.ints(end),
        graph.ints(axes),
        graph.ints(axes.map((i) => stride[i]!)),
      ],
      shape,
      x!.dtype,
    );
  },
  OnnxSliceGrad: ({ inputs: [dy], attrs: { begin, shape, stride, source }, graph }) => {
    let y: TensorInfo = dy!;
    // An axis with a step is filled by a Gather from dy with one zero appended; the others are padded below.
    stride.forEach((step, axis) => {
      if (step === 1) return;
      const zeroAt = shape[axis]!;
      const places = new Map(Array.from({ length: shape[axis]! }, (_, i) => [begin[axis]! + i * step, i]));
      const withZero = y.shape.map((d, i) => (i === axis ? d + 1 : d));
      const pads = [...y.shape.map(() => 0), ...y.shape.map((_, i) => (i === axis ? 1 : 0))];
      const padded = graph.emit("Pad", [y, graph.ints(pads)], withZero, "float32");
      const order = Array.from({ length: source[axis]! }, (_, i) => places.get(i) ?? zeroAt);
      const grown = y.shape.map((d, i) => (i === axis ? source[axis]! : d));
      y = graph.emit("Gather", [padded, graph.ints(order)], grown, "float32", { axis: { int: axis } });
    });
    const before = source.map((_, i) => (stride[i] === 1 ? begin[i]! : 0));
    const after = source.map((d, i) => (stride[i] === 1 ? d - begin[i]! - shape[i]! : 0));
    if ([...before, ...after].every((p) => p === 0)) return y;
    return graph.emit("Pad", [y, graph.ints([...before, ...after])], source, "float32");
  },
  OnnxGather: ({ inputs: [x, indices], attrs: { axis }, graph }) => {
    const shape = [...x!.shape.slice(0, axis), ...indices!.shape, ...x!.shape.slice(axis + 1)];
    return graph.emit("Gather", [x!, indices!], shape, x!.dtype, { axis: { int: axis } });
  },
  // Not ScatterND(add): with threads, ONNX Runtime's loses updates on equal indices.
  OnnxGatherGrad: ({ inputs: [dy, indices], attrs: { axis, source }, graph }) => {
    const count = elementCount(indices!.shape);
    const shape = source.map((d, i) => (i === axis ? count : d));
    const updates = graph.emit("Reshape", [dy!, graph.ints(shape)], shape, "float32");
    const column = source.map((_, i) => (i === axis ? count : 1));
    const lifted = graph.emit("Reshape", [indices!, graph.ints(column)], column, "int32");
    const where = graph.emit("Expand", [lifted, graph.ints(shape)], shape, "int32");
    return graph.emit(
      "ScatterElements",
      [graph.splat(0, source, "float32"), where, updates],
      source,
      "float32",
      {
        axis: { int: axis },
        reduction: { string: "add" },
      },
    );
  },
  OnnxExpand: ({ inputs: [x], attrs: { shape }, graph }) => {
    const splat = graph.splatValue(x!);
    if (splat !== undefined) return graph.splat(splat, shape, x!.dtype as "float32");
    return graph.emit("Expand", [x!, graph.ints(shape)], shape, x!.dtype);
  },
  OnnxWhere: ({ inputs: [c, a, b], graph }) =>
    graph.emit("Where", [c!, graph.scalarOf(a!), graph.scalarOf(b!)], a!.shape, a!.dtype),
} satisfies Partial<KernelLowerings>;
