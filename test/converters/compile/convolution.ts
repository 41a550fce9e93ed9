import type * as tf from "@tensorflow/tfjs-core";
import { conv } from "../../../converters/kernels/conv.ts";
import { outputSpatial, resolveWindow } from "../../../converters/kernels/window.ts";

/** A convolution of one group; its window is found from the shapes. */
export function convolution(
  x: tf.Tensor,
  w: tf.Tensor,
  bias: tf.Tensor | undefined,
  options: Parameters<typeof resolveWindow>[2],
): tf.Tensor {
  const window = resolveWindow(w.shape.slice(2), x.shape.slice(2), options);
  return conv(x, w, bias, {
    ...window,
    group: 1,
    inputShape: x.shape,
    filterShape: w.shape,
    outputShape: [x.shape[0]!, w.shape[0]!, ...outputSpatial(x.shape.slice(2), window)],
  });
}
