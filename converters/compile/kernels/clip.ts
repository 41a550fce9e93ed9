import type { TensorInfo } from "@tensorflow/tfjs-core";
import { LARGEST_FLOAT32 } from "../../dims.ts";
import type { GraphBuilder, KernelLowerings } from "../graph-builder.ts";

/**
 * 1 where sign·(y − bound) > 0, else 0, as floats: a steep HardSigmoid, clip(±2ᵏ·y ∓ 2ᵏ·bound, 0, 1), which
 * ONNX Runtime computes in one pass on all threads. Powers of two make it exact at the bound; k keeps the
 * products finite.
 */
function side(graph: GraphBuilder, y: TensorInfo, bound: number, sign: 1 | -1): TensorInfo | undefined {
  if (sign * bound <= -LARGEST_FLOAT32) return undefined;
  const k = Math.min(100, 125 - Math.ceil(Math.log2(Math.max(1, Math.abs(bound)))));
  return graph.emit("HardSigmoid", [y], y.shape, "float32", {
    alpha: { float: sign * 2 ** k },
    beta: { float: bound === 0 ? 0 : -sign * bound * 2 ** k },
  });
}

/** Lowerings of converters/kernels/clip.ts. */
export const clipLowerings = {
  OnnxClip: ({ inputs: [x], attrs: { low, high }, graph }) => {
    const bound = (value: number) => graph.constant([value], [], "float32");
    return graph.emit("Clip", [x!, bound(low), bound(high)], x!.shape, "float32");
  },
  OnnxClipGrad: ({ inputs: [dy, y], attrs: { low, high }, graph }) =>
    [side(graph, y!, low, 1), side(graph, y!, high, -1)].reduce<TensorInfo>(
      (product, mask) => (mask ? graph.emit("Mul", [product, mask], y!.shape, "float32") : product),
      dy!,
    ),
} satisfies Partial<KernelLowerings>;
