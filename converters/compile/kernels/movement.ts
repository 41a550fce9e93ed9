import type { TensorInfo } from "@tensorflow/tfjs-core";
import { elementCount } from "../../dims.ts";
import type { KernelLowerings } from "../graph-builder.ts";

/** Lowerings of converters/kernels/movement.ts. */
export const movementLowerings = {
  OnnxSlice: ({ inputs: [x], attrs: { begin, shape, stride }, builder }) => {
    const axes = begin
      .map((_, i) => i)
      .filter((i) => begin[i] !== 0 || stride[i] !== 1 || shape[i] !== x!.shape[i]);
    const end = axes.map((i) => {
      const last = begin[i]! + shape[i]! * stride[i]!;
      return last < 0 ? -x!.shape[i]! - 1 : last;
    });
    return builder.emit(
      "Slice",
      [
        x!,
        builder.ints(axes.map((i) => begin[i]!)),
        builder.ints(end),
        builder.ints(axes),
        builder.ints(axes.map((i) => stride[i]!)),
      ],
      shape,
      x!.dtype,
    );
  },
  OnnxSliceGrad: ({ inputs: [dy], attrs: { begin, shape, stride, source }, builder }) => {
    let y: TensorInfo = dy!;
    // An axis with a step is filled by a Gather from dy with one zero appended; the others are padded below.
    stride.forEach((step, axis) => {
      if (step === 1) return;
      const zeroAt = shape[axis]!;
      const places = new Map(Array.from({ length: shape[axis]! }, (_, i) => [begin[axis]! + i * step, i]));
      const withZero = y.shape.map((d, i) => (i === axis ? d + 1 : d));
      const pads = [...y.shape.map(() => 0), ...y.shape.map((_, i) => (i === axis ? 1 : 0))];
      const padded = builder.emit("Pad", [y, builder.ints(pads)], withZero, "float32");
      const order = Array.from({ length: source[axis]! }, (_, i) => places.get(i) ?? zeroAt);
      const grown = y.shape.map((d, i) => (i === axis ? source[axis]! : d));
      y = builder.emit("Gather", [padded, builder.ints(order)], grown, "float32", { axis: { int: axis } });
    });
    const before = source.map((_, i) => (stride[i] === 1 ? begin[i]! : 0));
    const after = source.map((d, i) => (stride[i] === 1 ? d - begin[i]! - shape[i]! : 0));
    if ([...before, ...after].every((p) => p === 0)) return y;
    return builder.emit("Pad", [y, builder.ints([...before, ...after])], source, "float32");
  },
  OnnxGather: ({ inputs: [x, indices], attrs: { axis }, builder }) => {
    const shape = [...x!.shape.slice(0, axis), ...indices!.shape, ...x!.shape.slice(axis + 1)];
    return builder.emit("Gather", [x!, indices!], shape, x!.dtype, { axis: { int: axis } });
  },
  // Not ScatterND(add): with threads, ONNX Runtime's loses updates on equal indices.
  OnnxGatherGrad: ({ inputs: [dy, indices], attrs: { axis, source }, builder }) => {
    const count = elementCount(indices!.shape);
    const shape = source.map((d, i) => (i === axis ? count : d));
    const updates = builder.emit("Reshape", [dy!, builder.ints(shape)], shape, "float32");
    const column = source.map((_, i) => (i === axis ? count : 1));
    const lifted = builder.emit("Reshape", [indices!, builder.ints(column)], column, "int32");
    const where = builder.emit("Expand", [lifted, builder.ints(shape)], shape, "int32");
    return builder.emit(
      "ScatterElements",
      [builder.splat(0, source, "float32"), where, updates],
      source,
      "float32",
      {
        axis: { int: axis },
        reduction: { string: "add" },
      },
    );
  },
  OnnxExpand: ({ inputs: [x], attrs: { shape }, builder }) => {
    const splat = builder.splatValue(x!);
    if (splat !== undefined) return builder.splat(splat, shape, x!.dtype as "float32");
    return builder.emit("Expand", [x!, builder.ints(shape)], shape, x!.dtype);
  },
  OnnxWhere: ({ inputs: [c, a, b], builder }) =>
    builder.emit("Where", [c!, builder.scalarOf(a!), builder.scalarOf(b!)], a!.shape, a!.dtype),
} satisfies Partial<KernelLowerings>;
