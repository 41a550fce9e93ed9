import { elementCount } from "../../../../converters/dims.ts";
import type { AttributeValue } from "../../../../converters/onnx/model.ts";
import type { CaseInput, OperatorCase } from "./harness.ts";

const t = (...dims: number[]): CaseInput => ({ dims });
const floats = (...data: number[]): CaseInput => ({ dims: [data.length], data, constant: true });
const ints = (...data: number[]): CaseInput => ({
  dims: [data.length],
  data,
  dtype: "int64",
  constant: true,
});
type Attributes = Readonly<Record<string, AttributeValue>>;

/** Values far enough apart that a finite difference never changes which one is the largest. */
function distinct(...dims: number[]): CaseInput {
  const size = elementCount(dims);
  let step = Math.floor(size * 0.618) || 1;
  const divides = (a: number, b: number): boolean => (b === 0 ? a === 1 : divides(b, a % b));
  while (!divides(size, step)) step++;
  return { dims, data: Array.from({ length: size }, (_, i) => ((i * step) % size) * 0.1 - size * 0.05) };
}
/** Away from zero, where |x| has a kink. */
const signed = (...dims: number[]): CaseInput => ({
  dims,
  data: Array.from(
    { length: elementCount(dims) },
    (_, i) => (i % 3 === 0 ? -1 : 1) * (0.3 + ((i * 7) % 11) * 0.07),
  ),
});

const conv = (name: string, inputs: CaseInput[], attributes: Attributes = {}): OperatorCase => ({
  name,
  op: "Conv",
  inputs,
  attributes,
});
const transposed = (name: string, inputs: CaseInput[], attributes: Attributes = {}): OperatorCase => ({
  name,
  op: "ConvTranspose",
  inputs,
  attributes,
});
const pool = (
  op: string,
  name: string,
  input: CaseInput,
  attributes: Attributes = {},
  opset = 17,
): OperatorCase => ({
  name: `${name} (opset ${opset})`,
  op,
  opset,
  inputs: [input],
  attributes,
});
const resizeTo = (
  name: string,
  input: CaseInput,
  sizes: number[],
  attributes: Attributes,
  opset = 13,
): OperatorCase => ({
  name: `${name} (opset ${opset})`,
  op: "Resize",
  opset,
  inputs: [input, undefined, undefined, ints(...sizes)],
  attributes,
});
const resizeBy = (
  name: string,
  input: CaseInput,
  scales: number[],
  attributes: Attributes,
  opset = 13,
): OperatorCase => ({
  name: `${name} (opset ${opset})`,
  op: "Resize",
  opset,
  inputs: [input, floats(), floats(...scales)],
  attributes,
});
const pad = (
  name: string,
  input: CaseInput,
  pads: number[],
  attributes: Attributes = {},
  opset = 13,
): OperatorCase => ({
  name,
  op: "Pad",
  opset,
  inputs: [input, ints(...pads)],
  attributes,
});

const COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"];
const NEAREST = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"];

export const cases: readonly OperatorCase[] = [
  conv("2-D, no options", [t(1, 2, 4, 5), t(3, 2, 2, 3)]),
  conv("bias and batch", [t(2, 2, 3, 4), t(2, 2, 2, 2), t(2)]),
  conv("padding 1", [t(1, 2, 4, 4), t(2, 2, 3, 3), t(2)], { pads: [1, 1, 1, 1] }),
  conv("asymmetric padding", [t(1, 2, 4, 4), t(2, 2, 3, 3)], { pads: [0, 1, 2, 1] }),
  conv("padding wider than the kernel reaches", [t(1, 1, 3, 3), t(2, 1, 2, 2)], { pads: [2, 2, 2, 2] }),
  conv("stride 2", [t(1, 2, 5, 5), t(2, 2, 3, 3)], { strides: [2, 2], pads: [1, 1, 1, 1] }),
  conv("stride 2 leaves a column unread", [t(1, 2, 5, 6), t(2, 2, 2, 3)], { strides: [2, 2] }),
  conv("stride 3 with 1×1 kernel", [t(2, 2, 5, 5), t(3, 2, 1, 1)], { strides: [3, 3] }),
  conv("1×1 kernel", [t(2, 3, 3, 3), t(4, 3, 1, 1), t(4)]),
  conv("dilation", [t(1, 2, 5, 5), t(2, 2, 2, 2)], { dilations: [2, 3] }),
  conv("dilation, stride and padding", [t(1, 1, 7, 7), t(2, 1, 3, 3)], {
    dilations: [2, 2],
    strides: [2, 1],
    pads: [2, 1, 1, 2],
  }),
  conv("groups", [t(2, 4, 3, 2), t(6, 2, 2, 2), t(6)], { group: 2 }),
  conv("groups with stride", [t(1, 4, 4, 3), t(4, 2, 3, 3)], {
    group: 2,
    strides: [2, 2],
    pads: [1, 1, 1, 1],
  }),
  conv("depthwise", [t(1, 3, 4, 4), t(3, 1, 3, 3), t(3)], { group: 3, pads: [1, 1, 1, 1] }),
  conv("depthwise with stride and multiplier 2", [t(1, 3, 4, 4), t(6, 1, 2, 2)], {
    group: 3,
    strides: [2, 2],
  }),
  conv("SAME_UPPER", [t(1, 2, 4, 5), t(2, 2, 2, 3)], { auto_pad: "SAME_UPPER", strides: [1, 2] }),
  conv("SAME_LOWER", [t(1, 2, 4, 5), t(2, 2, 2, 3)], { auto_pad: "SAME_LOWER", strides: [1, 2] }),
  conv("VALID", [t(1, 2, 4, 5), t(2, 2, 2, 3)], { auto_pad: "VALID" }),
  conv("1-D", [t(2, 2, 7), t(3, 2, 3), t(3)], { strides: [2], pads: [1, 0] }),
  conv("1-D dilated", [t(1, 3, 9), t(2, 3, 3)], { dilations: [2], pads: [2, 2] }),
  conv("3-D", [t(1, 2, 3, 3, 3), t(2, 2, 2, 2, 2), t(2)], { pads: [0, 1, 0, 1, 0, 0] }),
  conv("3-D with stride", [t(1, 1, 4, 3, 4), t(2, 1, 2, 2, 2)], { strides: [2, 1, 2] }),
  {
    ...conv("128 channels: filter gradient as one product", [t(2, 128, 3, 3), t(1, 128, 2, 2)], {
      pads: [1, 0, 0, 0],
    }),
    differentiate: [1],
  },

  transposed("no options", [t(1, 2, 3, 3), t(2, 3, 2, 2)]),
  transposed("bias", [t(2, 2, 2, 3), t(2, 2, 3, 2), t(2)]),
  transposed("stride 2", [t(1, 2, 3, 3), t(2, 2, 2, 2)], { strides: [2, 2] }),
  transposed("stride 2, padding, output_padding", [t(1, 2, 3, 3), t(2, 2, 3, 3)], {
    strides: [2, 2],
    pads: [1, 1, 1, 1],
    output_padding: [1, 1],
  }),
  transposed("output_padding without padding", [t(1, 1, 3, 2), t(1, 2, 2, 2)], {
    strides: [3, 2],
    output_padding: [2, 1],
  }),
  transposed("asymmetric padding", [t(1, 2, 3, 4), t(2, 2, 3, 3)], { pads: [0, 1, 1, 2] }),
  transposed("dilation", [t(1, 2, 3, 3), t(2, 2, 2, 2)], { dilations: [2, 2], strides: [2, 1] }),
  transposed("groups", [t(1, 4, 3, 2), t(4, 2, 2, 2), t(4)], { group: 2, strides: [2, 2] }),
  transposed("output_shape", [t(1, 1, 3, 3), t(1, 2, 3, 3)], { strides: [3, 2], output_shape: [10, 8] }),
  transposed("output_shape smaller than the whole", [t(1, 1, 3, 3), t(1, 2, 3, 3)], {
    strides: [2, 2],
    output_shape: [6, 6],
  }),
  transposed("SAME_UPPER", [t(1, 1, 3, 3), t(1, 2, 3, 3)], { strides: [2, 2], auto_pad: "SAME_UPPER" }),
  transposed("SAME_LOWER", [t(1, 1, 3, 3), t(1, 2, 3, 3)], { strides: [2, 2], auto_pad: "SAME_LOWER" }),
  transposed("SAME_UPPER with gaps between the windows", [t(1, 1, 2, 3), t(1, 2, 2, 1)], {
    strides: [3, 2],
    auto_pad: "SAME_UPPER",
  }),
  transposed("1-D", [t(1, 2, 4), t(2, 2, 3)], { strides: [2], pads: [1, 0] }),
  transposed("3-D", [t(1, 1, 2, 2, 2), t(1, 2, 2, 2, 2)], { strides: [2, 1, 2] }),

  pool("MaxPool", "2×2", distinct(1, 2, 4, 4), { kernel_shape: [2, 2], strides: [2, 2] }),
  pool("MaxPool", "overlapping", distinct(1, 2, 5, 5), {
    kernel_shape: [3, 3],
    strides: [2, 2],
    pads: [1, 1, 1, 1],
  }),
  pool("MaxPool", "asymmetric padding", distinct(1, 1, 4, 5), { kernel_shape: [2, 3], pads: [1, 0, 0, 2] }),
  pool("MaxPool", "ceil_mode", distinct(1, 2, 5, 5), {
    kernel_shape: [2, 2],
    strides: [2, 2],
    ceil_mode: 1,
  }),
  pool("MaxPool", "ceil_mode with padding", distinct(1, 1, 6, 6), {
    kernel_shape: [3, 3],
    strides: [2, 2],
    pads: [1, 1, 1, 1],
    ceil_mode: 1,
  }),
  pool("MaxPool", "dilation", distinct(1, 2, 5, 5), { kernel_shape: [2, 2], dilations: [2, 3] }),
  pool("MaxPool", "SAME_UPPER", distinct(1, 1, 5, 4), {
    kernel_shape: [2, 3],
    strides: [2, 2],
    auto_pad: "SAME_UPPER",
  }),
  pool("MaxPool", "SAME_LOWER", distinct(1, 1, 5, 4), {
    kernel_shape: [2, 3],
    strides: [2, 2],
    auto_pad: "SAME_LOWER",
  }),
  pool("MaxPool", "1-D", distinct(2, 2, 7), { kernel_shape: [3], strides: [2] }),
  pool("MaxPool", "3-D", distinct(1, 1, 3, 4, 4), { kernel_shape: [2, 2, 2], strides: [1, 2, 2] }),
  pool("GlobalMaxPool", "2-D", distinct(2, 2, 3, 4)),

  ...[11, 19].flatMap((opset) => [
    pool("AveragePool", "2×2", t(1, 2, 4, 4), { kernel_shape: [2, 2], strides: [2, 2] }, opset),
    pool(
      "AveragePool",
      "padding, not counted",
      t(1, 2, 4, 4),
      { kernel_shape: [3, 3], pads: [1, 1, 1, 1] },
      opset,
    ),
    pool(
      "AveragePool",
      "padding, counted",
      t(1, 2, 4, 4),
      { kernel_shape: [3, 3], pads: [1, 0, 1, 2], count_include_pad: 1 },
      opset,
    ),
    pool(
      "AveragePool",
      "ceil_mode",
      t(1, 1, 5, 6),
      { kernel_shape: [2, 3], strides: [2, 2], ceil_mode: 1 },
      opset,
    ),
    pool(
      "AveragePool",
      "SAME_UPPER",
      t(1, 1, 5, 4),
      { kernel_shape: [2, 3], strides: [2, 2], auto_pad: "SAME_UPPER" },
      opset,
    ),
    pool("AveragePool", "1-D", t(1, 2, 7), { kernel_shape: [3], strides: [2] }, opset),
    pool(
      "AveragePool",
      "3-D",
      t(1, 1, 3, 4, 4),
      { kernel_shape: [2, 2, 2], strides: [1, 2, 2], pads: [0, 1, 0, 0, 0, 0] },
      opset,
    ),
  ]),
  pool("AveragePool", "dilation", t(1, 1, 5, 5), { kernel_shape: [2, 2], dilations: [2, 2] }, 19),
  pool(
    "AveragePool",
    "ceil_mode and padding, counted",
    t(1, 1, 6, 6),
    { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], ceil_mode: 1, count_include_pad: 1 },
    19,
  ),
  pool("GlobalAveragePool", "2-D", t(2, 3, 2, 3)),
  pool("GlobalAveragePool", "1-D", t(2, 3, 4)),

  pool("LpPool", "p = 2", signed(1, 2, 4, 4), { kernel_shape: [2, 2], strides: [2, 2] }, 11),
  pool(
    "LpPool",
    "p = 1, padding",
    signed(1, 1, 4, 4),
    { kernel_shape: [3, 3], pads: [1, 1, 1, 1], p: 1 },
    11,
  ),
  pool("LpPool", "p = 3", signed(1, 1, 4, 4), { kernel_shape: [2, 2], p: 3 }, 11),
  pool("LpPool", "dilation", signed(1, 1, 5, 5), { kernel_shape: [2, 2], dilations: [2, 2] }, 18),
  pool("GlobalLpPool", "p = 2", signed(2, 2, 3, 3)),
  pool("GlobalLpPool", "p = 3", signed(2, 2, 3, 3), { p: 3 }),

  ...COORDINATES.flatMap((mode) => [
    resizeTo(`nearest ${mode}, up`, t(1, 2, 3, 4), [1, 2, 5, 7], {
      mode: "nearest",
      coordinate_transformation_mode: mode,
    }),
    resizeTo(`linear ${mode}, up`, t(1, 2, 3, 4), [1, 2, 5, 7], {
      mode: "linear",
      coordinate_transformation_mode: mode,
    }),
    resizeTo(`linear ${mode}, down`, t(1, 1, 5, 6), [1, 1, 3, 4], {
      mode: "linear",
      coordinate_transformation_mode: mode,
    }),
    resizeBy(`cubic ${mode}`, t(1, 1, 4, 4), [1, 1, 1.5, 2], {
      mode: "cubic",
      coordinate_transformation_mode: mode,
    }),
  ]),
  ...NEAREST.map((mode) =>
    resizeBy(`nearest asymmetric ${mode}`, t(1, 1, 3, 4), [1, 1, 2, 1.5], {
      mode: "nearest",
      coordinate_transformation_mode: "asymmetric",
      nearest_mode: mode,
    }),
  ),
  resizeBy("nearest ×2 as copies", t(1, 2, 3, 3), [1, 1, 2, 2], {
    mode: "nearest",
    coordinate_transformation_mode: "asymmetric",
    nearest_mode: "floor",
  }),
  resizeBy("nearest ×2 half_pixel", t(1, 2, 3, 3), [1, 1, 2, 3], { mode: "nearest" }),
  resizeBy(
    "tf_half_pixel_for_nn",
    t(1, 1, 3, 4),
    [1, 1, 2, 1.5],
    {
      mode: "nearest",
      coordinate_transformation_mode: "tf_half_pixel_for_nn",
      nearest_mode: "floor",
    },
    11,
  ),
  resizeBy("cubic, exclude_outside", t(1, 1, 4, 4), [1, 1, 2, 2], {
    mode: "cubic",
    exclude_outside: 1,
    cubic_coeff_a: -0.5,
  }),
  resizeTo("linear antialias", t(1, 1, 6, 6), [1, 1, 3, 4], { mode: "linear", antialias: 1 }, 18),
  resizeTo("cubic antialias", t(1, 1, 6, 6), [1, 1, 3, 4], { mode: "cubic", antialias: 1 }, 18),
  // 2.6 · 5 is 13 in float32, a little less in float64.
  resizeBy("extent rounded in float32", t(1, 1, 5, 3), [1, 1, 2.6, 1.5], { mode: "linear" }),
  resizeBy(
    "antialias leaves an axis of unchanged length alone",
    t(1, 1, 3, 5),
    [1, 1, 1.3, 0.6],
    { mode: "linear", antialias: 1 },
    18,
  ),
  resizeTo("axes", t(1, 2, 3, 3), [6, 5], { mode: "linear", axes: [2, 3] }, 18),
  resizeTo(
    "not_larger",
    t(1, 1, 3, 4),
    [7, 6],
    {
      mode: "linear",
      axes: [2, 3],
      keep_aspect_ratio_policy: "not_larger",
    },
    18,
  ),
  resizeTo(
    "not_smaller",
    t(1, 1, 3, 4),
    [7, 6],
    {
      mode: "nearest",
      axes: [2, 3],
      keep_aspect_ratio_policy: "not_smaller",
    },
    18,
  ),
  resizeBy(
    "half_pixel_symmetric",
    t(1, 1, 4, 4),
    [1, 1, 2.3, 0.6],
    {
      mode: "linear",
      coordinate_transformation_mode: "half_pixel_symmetric",
    },
    19,
  ),
  ...[
    [3, 5],
    [3, 4],
  ].map(
    ([h, w]): OperatorCase => ({
      name: `tf_crop_and_resize to ${h}×${w}`,
      op: "Resize",
      opset: 13,
      inputs: [t(1, 1, 4, 4), floats(0, 0, 0.2, -0.3, 1, 1, 0.8, 1.1), floats(), ints(1, 1, h!, w!)],
      attributes: {
        mode: "linear",
        coordinate_transformation_mode: "tf_crop_and_resize",
        extrapolation_value: 10,
      },
    }),
  ),
  ...["nearest", "linear"].flatMap((mode): OperatorCase[] => [
    {
      name: `up ${mode}`,
      op: "Resize",
      opset: 10,
      inputs: [t(1, 2, 3, 3), floats(1, 1, 2, 1.5)],
      attributes: { mode },
    },
    {
      name: `down ${mode}`,
      op: "Resize",
      opset: 10,
      inputs: [t(1, 1, 5, 6), floats(1, 1, 0.6, 0.5)],
      attributes: { mode },
    },
    {
      name: mode,
      op: "Upsample",
      opset: 9,
      inputs: [t(1, 2, 3, 3), floats(1, 1, 2, 3)],
      attributes: { mode },
    },
    {
      name: `${mode}, scales as attribute`,
      op: "Upsample",
      opset: 7,
      inputs: [t(1, 2, 3, 3)],
      attributes: { mode, scales: [1, 1, 2, 2] },
    },
  ]),

  pad("constant", t(2, 3), [1, 0, 0, 2]),
  {
    name: "constant with value",
    op: "Pad",
    opset: 13,
    inputs: [t(1, 2, 2, 3), ints(0, 0, 1, 2, 0, 0, 0, 1), { dims: [], data: [1.5], constant: true }],
  },
  pad("constant, negative", t(3, 5), [-1, 1, 0, -2]),
  pad("reflect", t(1, 1, 3, 4), [0, 0, 2, 1, 0, 0, 1, 3], { mode: "reflect" }),
  pad("edge", t(1, 2, 3, 2), [0, 0, 2, 1, 0, 0, 1, 3], { mode: "edge" }),
  pad("wrap", t(3, 4), [2, 1, 1, 3], { mode: "wrap" }, 19),
  pad("rank 5", t(1, 2, 2, 2, 2), [0, 1, 0, 1, 0, 0, 0, 1, 0, 2]),
  {
    name: "axes",
    op: "Pad",
    opset: 18,
    inputs: [t(2, 3, 2), ints(1, 2), undefined, ints(-2)],
    attributes: { mode: "constant" },
  },
  {
    name: "pads as attribute",
    op: "Pad",
    opset: 2,
    inputs: [t(2, 3)],
    attributes: { pads: [0, 1, 2, 0], value: 0.5 },
  },
];
