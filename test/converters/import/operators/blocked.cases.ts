import type { AttributeValue } from "../../../../converters/onnx/model.ts";
import type { OperatorCase } from "./harness.ts";

// Convolutions wide enough for ONNX Runtime's blocked layout (8 or 16 channels a block): whole and partly
// filled blocks, strides, dilations, groups, uneven pads, images whose last rows no window reaches.
const conv = (
  name: string,
  x: readonly number[],
  w: readonly number[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
  bias = false,
): OperatorCase => ({
  name: `blocked, ${name}`,
  op: "Conv",
  attributes: { kernel_shape: w.slice(2), ...attributes },
  inputs: [{ dims: x }, { dims: w }, ...(bias ? [{ dims: [w[0]!] }] : [])],
});

export const cases: readonly OperatorCase[] = [
  conv("whole blocks, bias", [2, 16, 4, 3], [16, 16, 3, 3], { pads: [1, 1, 1, 1] }, true),
  conv("13 channels from 10", [1, 10, 4, 3], [13, 10, 3, 2], { pads: [1, 0, 1, 1] }, true),
  conv("an image of 3 channels", [2, 3, 5, 4], [16, 3, 3, 3], { pads: [1, 1, 1, 1] }, true),
  conv("an image of 3 channels, stride 2", [2, 3, 6, 7], [14, 3, 3, 3], {
    pads: [1, 1, 1, 1],
    strides: [2, 2],
  }),
  conv("pointwise", [2, 16, 3, 2], [32, 16, 1, 1], {}, true),
  conv("pointwise, stride 2", [2, 16, 4, 5], [16, 16, 1, 1], { strides: [2, 2] }),
  conv("stride 2, even size", [2, 16, 4, 4], [16, 16, 3, 3], { pads: [1, 1, 1, 1], strides: [2, 2] }),
  conv("stride 2, odd size, odd channels", [1, 11, 5, 7], [15, 11, 3, 3], {
    pads: [1, 1, 1, 1],
    strides: [2, 2],
  }),
  conv("stride 2, no padding, a last row unreached", [1, 16, 6, 6], [16, 16, 3, 3], { strides: [2, 2] }),
  conv("stride 3 and 2, kernel 2", [1, 16, 7, 5], [16, 16, 2, 2], { strides: [3, 2] }),
  conv("stride 2, kernel 5, uneven pads", [1, 16, 5, 6], [16, 16, 5, 4], {
    pads: [2, 1, 1, 2],
    strides: [2, 2],
  }),
  conv("dilation 2", [1, 16, 6, 5], [16, 16, 3, 2], { pads: [2, 1, 2, 1], dilations: [2, 2] }),
  conv("dilation 3 and 1, stride 1 and 2", [1, 16, 7, 5], [16, 16, 2, 3], {
    dilations: [3, 1],
    strides: [1, 2],
  }),
  conv("kernel as large as the image", [2, 16, 3, 3], [16, 16, 3, 3]),
  conv("2 groups of whole blocks", [1, 32, 3, 3], [32, 16, 3, 3], { pads: [1, 1, 1, 1], group: 2 }, true),
  conv("2 groups of odd channels", [1, 20, 3, 3], [24, 10, 3, 3], { pads: [1, 1, 1, 1], group: 2 }),
  conv("depthwise", [2, 16, 4, 3], [16, 1, 3, 3], { pads: [1, 1, 1, 1], group: 16 }, true),
  conv("depthwise, odd channels", [2, 13, 4, 3], [13, 1, 3, 3], { pads: [1, 1, 1, 1], group: 13 }),
  conv("depthwise, stride 2", [2, 16, 5, 6], [16, 1, 3, 3], {
    pads: [1, 1, 1, 1],
    strides: [2, 2],
    group: 16,
  }),
  conv("depthwise, dilation 2", [1, 16, 6, 5], [16, 1, 3, 3], {
    pads: [2, 2, 2, 2],
    dilations: [2, 2],
    group: 16,
  }),
  conv("depthwise, 5×5, stride 2", [1, 16, 7, 8], [16, 1, 5, 5], {
    pads: [2, 2, 2, 2],
    strides: [2, 2],
    group: 16,
  }),
  conv("depth multiplier 2", [1, 16, 4, 3], [32, 1, 3, 3], { pads: [1, 1, 1, 1], group: 16 }),
];
