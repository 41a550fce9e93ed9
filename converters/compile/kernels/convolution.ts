import type { TensorInfo } from "@tensorflow/tfjs-core";
import { elementCount } from "../../dims.ts";
import type { PoolAttributes } from "../../kernels/attributes.ts";
import { taps } from "../../kernels/window.ts";
import { type GraphBuilder, type KernelLowerings, MICROSOFT, type Operand } from "../graph-builder.ts";
import {
  blockedConv,
  blockedDepthwiseFilterGrad,
  blockedInputGrad,
  blockedKind,
  filterGradByConvolution,
} from "./blocked.ts";
import { convAttributes, permuted, viewAs, windowAttributes } from "./window.ts";
import { winogradConv, winogradFilterGrad, winogradForm, winogradInputGrad } from "./winograd.ts";

const padZeros = (graph: GraphBuilder, x: TensorInfo, pads: readonly number[]): TensorInfo => {
  const rank = pads.length / 2;
  if (pads.every((p) => p === 0)) return x;
  const shape = x.shape.map((d, i) => (i < 2 ? d : d + pads[i - 2]! + pads[rank + i - 2]!));
  return graph.emit(
    "Pad",
    [x, graph.ints([0, 0, ...pads.slice(0, rank), 0, 0, ...pads.slice(rank)])],
    shape,
    x.dtype,
  );
};

/** The part of the padded input that one tap reads. */
const tapSlice = (
  graph: GraphBuilder,
  padded: TensorInfo,
  offset: readonly number[],
  a: { strides: readonly number[]; outputShape: readonly number[] },
) => {
  const spatial = a.outputShape.slice(2);
  const shape = [padded.shape[0]!, padded.shape[1]!, ...spatial];
  if (shape.every((d, i) => d === padded.shape[i])) return padded;
  const ends = spatial.map((d, i) => offset[i]! + (d - 1) * a.strides[i]! + 1);
  return graph.emit(
    "Slice",
    [
      padded,
      graph.ints(offset),
      graph.ints(ends),
      graph.ints(spatial.map((_, i) => i + 2)),
      graph.ints(a.strides),
    ],
    shape,
    padded.dtype,
  );
};

/** Lowerings of converters/kernels/conv.ts and pool.ts: direct ONNX operators wherever there is one. */
export const convolutionLowerings = {
  OnnxConv: ({ inputs, attrs: a, graph }) => {
    const form = winogradForm(a);
    if (form) return winogradConv(graph, inputs, a, form);
    const kind = blockedKind(a, graph.block);
    if (kind) return blockedConv(graph, kind, inputs, a);
    return graph.emit("Conv", inputs, a.outputShape, "float32", convAttributes(a));
  },

  OnnxConvInputGrad: ({ inputs: [dy, w], attrs: a, graph }) => {
    const form = winogradForm(a);
    if (form) return winogradInputGrad(graph, dy!, w!, a, form);
    const kind = blockedKind(a, graph.block);
    const blocked = kind && blockedInputGrad(graph, kind, dy!, w!, a);
    if (blocked) return blocked;
    const rank = a.kernel.length;
    const unitStride = a.strides.every((s) => s === 1);
    const mirrored = a.kernel.map((k, i) => (k - 1) * a.dilations[i]! - a.pads[i]!);
    const mirroredEnd = a.kernel.map((k, i) => (k - 1) * a.dilations[i]! - a.pads[rank + i]!);
    if (unitStride && a.group === 1 && [...mirrored, ...mirroredEnd].every((p) => p >= 0)) {
      // A convolution with transposed, flipped weights: as fast as the forward pass. ConvTranspose is slower.
      const [o, c] = a.filterShape as [number, number];
      const axes = a.kernel.map((_, i) => i + 2);
      const swapped = permuted(graph, w!, [1, 0, ...axes]);
      const flipped = a.kernel.every((k) => k === 1)
        ? swapped
        : graph.emit(
            "Slice",
            [
              swapped,
              graph.ints(axes.map(() => -1)),
              graph.ints(a.kernel.map((k) => -k - 1)),
              graph.ints(axes),
              graph.ints(axes.map(() => -1)),
            ],
            [c, o, ...a.kernel],
            "float32",
          );
      return graph.emit("Conv", [dy!, flipped], a.inputShape, "float32", {
        ...convAttributes(a),
        pads: { ints: [...mirrored, ...mirroredEnd] },
      });
    }
    // Pixels that no window reads get a gradient of zero: output_padding makes the shape exact.
    const reached = a.kernel.map(
      (k, i) =>
        (a.outputShape[i + 2]! - 1) * a.strides[i]! +
        (k - 1) * a.dilations[i]! +
        1 -
        a.pads[i]! -
        a.pads[rank + i]!,
    );
    const missing = reached.map((r, i) => a.inputShape[i + 2]! - r);
    const pads = [...a.pads];
    // output_padding must stay below the stride; ONNX allows a smaller end padding instead.
    missing.forEach((m, i) => {
      const cut = Math.min(m, pads[rank + i]!);
      if (cut > 0) {
        pads[rank + i]! -= cut;
        missing[i]! -= cut;
      }
    });
    const shape = a.inputShape.map((d, i) => (i < 2 ? d : d - Math.max(0, missing[i - 2]!)));
    const y = graph.emit("ConvTranspose", [dy!, w!], shape, "float32", {
      ...convAttributes(a),
      pads: { ints: pads },
    });
    return padZeros(graph, y, [...a.kernel.map(() => 0), ...missing.map((m) => Math.max(0, m))]);
  },

  OnnxConvFilterGrad: ({ inputs: [x, dy], attrs: a, graph }) => {
    const form = winogradForm(a);
    if (form) return winogradFilterGrad(graph, x!, dy!, a, form);
    if (blockedKind(a, graph.block) === "depthwise") return blockedDepthwiseFilterGrad(graph, x!, dy!, a);
    if (a.group === 1 && a.kernel.length === 2) return filterGradByConvolution(graph, x!, dy!, a);
    const [o, c] = a.filterShape as [number, number];
    const n = a.inputShape[0]!;
    const l = elementCount(a.outputShape.slice(2));
    const g = a.group;
    const offsets = taps(a);
    const padded = padZeros(graph, x!, a.pads);
    const count = offsets.length;
    if (g === 1 && c >= 128) {
      // Channels first and all taps side by side in one product: faster with many channels.
      const columns = offsets.map((offset) => {
        const piece = viewAs(graph, tapSlice(graph, padded, offset, a), [n, c, l]);
        return permuted(graph, piece, [1, 0, 2]);
      });
      const side =
        count === 1
          ? columns[0]!
          : graph.emit("Concat", columns, [count * c, n, l], "float32", { axis: { int: 0 } });
      const rows = viewAs(graph, permuted(graph, viewAs(graph, dy!, [n, o, l]), [1, 0, 2]), [o, n * l]);
      const dw = graph.emit(
        "Gemm",
        [rows, viewAs(graph, side, [count * c, n * l])],
        [o, count * c],
        "float32",
        { transB: { int: 1 } },
      );
      const stacked = viewAs(graph, dw, [o, count, c]);
      return viewAs(graph, permuted(graph, stacked, [0, 2, 1]), a.filterShape);
    }
    const rows = viewAs(graph, dy!, [n, g, o / g, l]);
    const pieces = offsets.map((offset) => {
      const piece = viewAs(graph, tapSlice(graph, padded, offset, a), [n, g, c, l]);
      const each = graph.emit([MICROSOFT, "FusedMatMul"], [rows, piece], [n, g, o / g, c], "float32", {
        transB: { int: 1 },
      });
      const sum = graph.emit("ReduceSum", [each, graph.ints([0])], [g, o / g, c], "float32", {
        keepdims: { int: 0 },
      });
      return viewAs(graph, sum, [o, c, 1]);
    });
    const dw =
      count === 1 ? pieces[0]! : graph.emit("Concat", pieces, [o, c, count], "float32", { axis: { int: 2 } });
    return viewAs(graph, dw, a.filterShape);
  },

  OnnxMaxPool: ({ inputs: [x], attrs, graph }) => maxPoolWithIndices(graph, x!, attrs)[0]!,
  OnnxMaxPoolIndices: ({ inputs: [x], attrs: a, graph }) => {
    const indices = maxPoolWithIndices(graph, x!, a)[1]!;
    return graph.emit("Cast", [indices], a.outputShape, "int32", { to: { int: 6 } });
  },
  OnnxMaxPoolGrad: ({ inputs: [x, , dy], attrs: a, graph }) => {
    const indices = maxPoolWithIndices(graph, x!, a)[1]!;
    const flat = [elementCount(a.inputShape)];
    const places = [elementCount(a.outputShape)];
    const y = graph.emit(
      "ScatterElements",
      [graph.splat(0, flat, "float32"), viewAs(graph, indices, places), viewAs(graph, dy!, places)],
      flat,
      "float32",
      { axis: { int: 0 }, reduction: { string: "add" } },
    );
    return viewAs(graph, y, a.inputShape);
  },

  OnnxSumPool: ({ inputs: [x], attrs: a, graph }) => {
    if (a.dilations.every((d) => d === 1)) {
      const padded = padZeros(graph, x!, a.pads);
      const mean = graph.emit("AveragePool", [padded], a.outputShape, "float32", {
        kernel_shape: { ints: a.kernel },
        strides: { ints: a.strides },
      });
      return graph.emit(
        "Mul",
        [mean, graph.constant([elementCount(a.kernel)], [], "float32")],
        a.outputShape,
        "float32",
      );
    }
    return depthwiseOnes(graph, "Conv", x!, a, a.outputShape);
  },
  OnnxSumPoolGrad: ({ inputs: [dy], attrs: a, graph }) => {
    const rank = a.kernel.length;
    const reach = a.kernel.map(
      (k, i) => (a.outputShape[i + 2]! - 1) * a.strides[i]! + (k - 1) * a.dilations[i]! + 1,
    );
    const [n, c] = a.inputShape as [number, number];
    // Each channel on its own: one channel of N·C images.
    const one = { ...a, pads: a.pads.map(() => 0) };
    const flat = viewAs(graph, dy!, [n * c, 1, ...a.outputShape.slice(2)]);
    const spread = depthwiseOnes(graph, "ConvTranspose", flat, one, [n * c, 1, ...reach]);
    const whole = a.inputShape.slice(2).map((d, i) => d + a.pads[i]! + a.pads[rank + i]!);
    const grown = padZeros(graph, spread, [...a.kernel.map(() => 0), ...whole.map((d, i) => d - reach[i]!)]);
    const inner = [n * c, 1, ...a.inputShape.slice(2)];
    const starts = a.pads.slice(0, rank);
    const cut = a.pads.every((p) => p === 0)
      ? grown
      : graph.emit(
          "Slice",
          [
            grown,
            graph.ints(starts),
            graph.ints(starts.map((s, i) => s + a.inputShape[i + 2]!)),
            graph.ints(starts.map((_, i) => i + 2)),
          ],
          inner,
          "float32",
        );
    return viewAs(graph, cut, a.inputShape);
  },
} satisfies Partial<KernelLowerings>;

/**
 * The same node serves the forward pass and the gradient, which needs the indices: equal nodes are emitted
 * once.
 */
function maxPoolWithIndices(graph: GraphBuilder, x: TensorInfo, a: PoolAttributes): TensorInfo[] {
  return graph.emitMany(
    "MaxPool",
    [x],
    [
      { shape: a.outputShape, dtype: "float32" },
      { shape: a.outputShape, dtype: "int64" },
    ],
    windowAttributes(a),
  );
}

function depthwiseOnes(
  graph: GraphBuilder,
  opType: "Conv" | "ConvTranspose",
  x: TensorInfo,
  a: PoolAttributes,
  shape: readonly number[],
): TensorInfo {
  const channels = x.shape[1]!;
  const ones: Operand = graph.constant(
    new Float32Array(channels * elementCount(a.kernel)).fill(1),
    [channels, 1, ...a.kernel],
    "float32",
  );
  return graph.emit(opType, [x, ones], shape, "float32", convAttributes({ ...a, group: channels }));
}
