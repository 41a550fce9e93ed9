import type { KernelLowerings } from "../trace.ts";

/** Lowerings of converters/kernels/scatter.ts. */
export const scatterLowerings = {
  OnnxScatterRows: ({ inputs: [data, indices, updates], attrs: { reduction }, trace }) => {
    const [count, width] = updates!.shape as [number, number];
    const column = trace.emit("Reshape", [indices!, trace.ints([count, 1])], [count, 1], "int32");
    const places =
      width === 1
        ? column
        : trace.emit("Expand", [column, trace.ints([count, width])], [count, width], "int32");
    return trace.emit("ScatterElements", [data!, places, updates!], data!.shape, data!.dtype, {
      axis: { int: 0 },
      reduction: { string: reduction },
    });
  },
  OnnxTopKIndices: ({ inputs: [x], attrs: { k, axis, largest }, trace }) => {
    const shape = x!.shape.map((d, i) => (i === axis ? k : d));
    const [, indices] = trace.emitMany(
      "TopK",
      [x!, trace.ints([k])],
      [
        { shape, dtype: x!.dtype },
        { shape, dtype: "int64" },
      ],
      { axis: { int: axis }, largest: { int: largest ? 1 : 0 } },
    );
    return trace.emit("Cast", [indices!], shape, "int32", { to: { int: 6 } });
  },
} satisfies Partial<KernelLowerings>;
