import { tf } from "../tf.ts";
import { type ConvAttributes, outputSpatial } from "./window.ts";

// Convolutions by tfjs's own kernels, on a backend that has them as compiled code. They are channels-last
// with two spatial axes. As TensorFlow's gradients take neither explicit padding nor dilation, the input is
// padded first, and dilated convolutions use the composed implementation (conv.ts).

const FORM = { pad: "valid", dataFormat: "NHWC", dilations: [1, 1] } as const;

type Role = "forward" | "inputGrad" | "filterGrad";
const TOGETHER = {
  forward: tf.Conv2D,
  inputGrad: tf.Conv2DBackpropInput,
  filterGrad: tf.Conv2DBackpropFilter,
} as const;
const DEPTHWISE = {
  forward: tf.DepthwiseConv2dNative,
  inputGrad: tf.DepthwiseConv2dNativeBackpropInput,
  filterGrad: tf.DepthwiseConv2dNativeBackpropFilter,
} as const;

const isDepthwise = ({ group, filterShape }: ConvAttributes) => group > 1 && filterShape[1] === 1;

/**
 * Whether tfjs has this convolution: ungrouped, or depthwise with equal strides; not dilated; with the output
 * size that follows from its pads.
 */
function isNative(a: ConvAttributes): boolean {
  const [spatial, windows] = [a.inputShape.slice(2), a.outputShape.slice(2)];
  return (
    spatial.length === 2 &&
    a.dilations.every((d) => d === 1) &&
    (a.group === 1 || (isDepthwise(a) && a.strides[0] === a.strides[1])) &&
    outputSpatial(spatial, a).every((d, i) => d === windows[i])
  );
}

const run = (role: Role, a: ConvAttributes, inputs: tf.NamedTensorMap, shapes: tf.NamedAttrMap = {}) =>
  tf.engine().runKernel((isDepthwise(a) ? DEPTHWISE : TOGETHER)[role], inputs, {
    ...FORM,
    strides: [...a.strides],
    ...shapes,
  }) as tf.Tensor;

const channelsLast = (x: tf.Tensor) => tf.transpose(x, [0, 2, 3, 1]);
const channelsFirst = (x: tf.Tensor) => tf.transpose(x, [0, 3, 1, 2]);

const padded = (x: tf.Tensor, { pads }: ConvAttributes) => {
  const [top, left, bottom, right] = pads as [number, number, number, number];
  return tf.pad(channelsLast(x), [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ]);
};

/** [O, C, kh, kw] → [kh, kw, C, O]; depthwise [C·m, 1, kh, kw] → [kh, kw, C, m] */
const toFilter = (w: tf.Tensor, a: ConvAttributes) =>
  isDepthwise(a)
    ? tf.transpose(tf.reshape(w, [a.group, -1, ...a.kernel]), [2, 3, 0, 1])
    : tf.transpose(w, [2, 3, 1, 0]);
const fromFilter = (filter: tf.Tensor, a: ConvAttributes) =>
  isDepthwise(a)
    ? tf.reshape(tf.transpose(filter, [2, 3, 0, 1]), [...a.filterShape])
    : tf.transpose(filter, [3, 2, 0, 1]);

/** x [N, C, H, W], w [O, C/group, kh, kw] → [N, O, H', W'], or undefined where tfjs has no such kernel. */
export function nativeConv(x: tf.Tensor, w: tf.Tensor, a: ConvAttributes): tf.Tensor | undefined {
  if (!isNative(a)) return undefined;
  return channelsFirst(run("forward", a, { x: padded(x, a), filter: toFilter(w, a) }));
}

/** dx [N, C, H, W] of `nativeConv`, or undefined as there. */
export function nativeInputGrad(dy: tf.Tensor, w: tf.Tensor, a: ConvAttributes): tf.Tensor | undefined {
  if (!isNative(a)) return undefined;
  const [n, c, height, width] = a.inputShape as [number, number, number, number];
  const [top, left, bottom, right] = a.pads as [number, number, number, number];
  const inputShape = [n, height + top + bottom, width + left + right, c];
  const dx = run("inputGrad", a, { dy: channelsLast(dy), filter: toFilter(w, a) }, { inputShape });
  return channelsFirst(tf.slice(dx, [0, top, left, 0], [n, height, width, c]));
}

/** dw [O, C/group, kh, kw] of `nativeConv`, or undefined as there. */
export function nativeFilterGrad(x: tf.Tensor, dy: tf.Tensor, a: ConvAttributes): tf.Tensor | undefined {
  if (!isNative(a)) return undefined;
  const [o, c] = a.filterShape as [number, number];
  const filterShape = [...a.kernel, ...(isDepthwise(a) ? [a.group, o / a.group] : [c, o])];
  return fromFilter(run("filterGrad", a, { x: padded(x, a), dy: channelsLast(dy) }, { filterShape }), a);
}
