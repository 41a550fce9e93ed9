import type { KernelLowerings } from "../graph-builder.ts";

/** Lowerings of converters/kernels/scatter.ts. */
export const scatterLowerings = {
  OnnxScatterRows: ({ inputs: [data, indices, updates], attrs: { reduction }, graph }) => {
    const [count, width] = updates!.shape as [number, number];
    const column = graph.emit("Reshape", [indices!, graph.ints([count, 1])], [count, 1], "int32");
    const places =
      width === 1
        ? column
        : graph.emit("Expand", [column, graph.ints([count, width])], [count, width], "int32");
    return graph.emit("ScatterElements", [data!, places, updates!], data!.shape, data!.dtype, {
      axis: { int: 0 },
      reduction: { string: reduction },
    });
  },
  OnnxTopKIndices: ({ inputs: [x], attrs: { k, axis, largest }, graph }) => {
    const shape = x!.shape.map((d, i) => (i === axis ? k : d));
    const [, indices] = graph.emitMany(
      "TopK",
      [x!, graph.ints([k])],
      [
        { shape, dtype: x!.dtype },
        { shape, dtype: "int64" },
      ],
      { axis: { int: axis }, largest: { int: largest ? 1 : 0 } },
    );
    return graph.emit("Cast", [indices!], shape, "int32", { to: { int: 6 } });
  },
} satisfies Partial<KernelLowerings>;
