import { elementCount } from "../../../../converters/dims.ts";
import type { AttributeValue, DataType } from "../../../../converters/onnx/model.ts";
import type { CaseInput, OperatorCase } from "./harness.ts";

const t = (...dims: number[]): CaseInput => ({ dims });
const known = (dims: number[], data: number[], dtype: DataType = "int64"): CaseInput => ({
  dims,
  data,
  dtype,
  constant: true,
});
/** Values far enough apart that a finite difference never changes which one is the largest. */
const distinct = (...dims: number[]): CaseInput => ({
  dims,
  data: Array.from({ length: elementCount(dims) }, (_, i) => ((i * 37) % 101) * 0.1 - 5),
});
/**
 * Grid points whose pixel coordinates stay at least 0.1 away from the whole and half numbers, where sampling
 * has kinks.
 */
const grid = (spatial: readonly number[], align: boolean, dims: number[], beyond: number): CaseInput => {
  const rank = spatial.length;
  return {
    dims,
    data: Array.from({ length: elementCount(dims) }, (_, i) => {
      const length = spatial[rank - 1 - (i % rank)]!;
      const pixel = (((i * 5) % 13) / 12) * (length - 1 + 2 * beyond) - beyond;
      const clear = Math.floor(pixel) + [0.2, 0.3, 0.7, 0.8][i % 4]!;
      return align ? (2 * clear) / (length - 1) - 1 : (2 * clear + 1) / length - 1;
    }),
  };
};
const one = (
  op: string,
  name: string,
  opset: number,
  inputs: (CaseInput | undefined)[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
  more: Partial<OperatorCase> = {},
): OperatorCase => ({ op, name: `${name} (opset ${opset})`, opset, inputs, attributes, ...more });

const PADDINGS = ["zeros", "border", "reflection"];

export const cases: readonly OperatorCase[] = [
  ...PADDINGS.flatMap((padding_mode) =>
    [0, 1].flatMap((align_corners) => [
      one(
        "GridSample",
        `bilinear, ${padding_mode}, align ${align_corners}`,
        16,
        [t(2, 2, 4, 5), grid([4, 5], align_corners === 1, [2, 2, 3, 2], 0.9)],
        { mode: "bilinear", padding_mode, align_corners },
      ),
      one(
        "GridSample",
        `cubic, ${padding_mode}, align ${align_corners}`,
        20,
        [t(1, 2, 5, 4), grid([5, 4], align_corners === 1, [1, 2, 2, 2], 1.9)],
        { mode: "cubic", padding_mode, align_corners },
      ),
      one(
        "GridSample",
        `nearest, ${padding_mode}, align ${align_corners}`,
        20,
        [t(1, 2, 5, 4), grid([5, 4], align_corners === 1, [1, 2, 4, 2], 1.9)],
        { mode: "nearest", padding_mode, align_corners },
        { differentiate: [0] },
      ),
    ]),
  ),
  one("GridSample", "volume, linear", 20, [t(1, 2, 3, 4, 3), grid([3, 4, 3], false, [1, 2, 2, 1, 3], 0.4)], {
    mode: "linear",
  }),
  ...[0, 1].flatMap((align_corners) => [
    one("AffineGrid", `plane, align ${align_corners}`, 20, [t(2, 2, 3), known([4], [2, 3, 3, 4])], {
      align_corners,
    }),
    one("AffineGrid", `volume, align ${align_corners}`, 20, [t(1, 3, 4), known([5], [1, 1, 2, 3, 2])], {
      align_corners,
    }),
  ]),

  ...["avg", "max"].flatMap((mode) => [
    one(
      "RoiAlign",
      mode,
      10,
      [
        distinct(2, 2, 6, 6),
        known([3, 4], [0.3, 0.2, 4.1, 5.3, 1.4, 2.2, 3.6, 3.9, 2.1, 1.3, 5.2, 4.7], "float32"),
        known([3], [0, 1, 0]),
      ],
      { mode, output_height: 2, output_width: 3, sampling_ratio: 2, spatial_scale: 0.9 },
    ),
  ]),
  one(
    "RoiAlign",
    "max, samples by size",
    16,
    [
      distinct(1, 2, 6, 6),
      known([2, 4], [0.3, 0.2, 4.1, 5.3, 1.4, 2.2, 2.6, 2.9], "float32"),
      known([2], [0, 0]),
    ],
    { mode: "max", output_height: 2, output_width: 2 },
  ),
  one(
    "RoiAlign",
    "half_pixel, samples by size",
    16,
    [
      distinct(1, 2, 6, 6),
      known([2, 4], [0.3, 0.2, 4.1, 5.3, 1.4, 2.2, 3.6, 7.9], "float32"),
      known([2], [0, 0]),
    ],
    { output_height: 2, output_width: 2 },
  ),
  one(
    "RoiAlign",
    "output_half_pixel",
    16,
    [distinct(1, 2, 6, 6), known([1, 4], [1.3, 1.2, 1.9, 4.3], "float32"), known([1], [0])],
    { output_height: 2, output_width: 1, coordinate_transformation_mode: "output_half_pixel" },
  ),

  one(
    "MaxRoiPool",
    "regions of several sizes",
    11,
    [distinct(2, 2, 6, 6), known([3, 5], [0, 0, 1, 4, 5, 1, 1, 2, 3, 3, 0, 4.4, 4.6, 9, 9], "float32")],
    { pooled_shape: [2, 3] },
  ),
  one("MaxRoiPool", "scaled", 11, [distinct(1, 1, 6, 6), known([1, 5], [0, 2, 2, 10, 9], "float32")], {
    pooled_shape: [2, 2],
    spatial_scale: 0.5,
  }),
  one("NonMaxSuppression", "two classes", 11, [
    known(
      [1, 6, 4],
      [0, 0, 1, 1, 0, 0.1, 1, 1.1, 0, -0.1, 1, 0.9, 0, 10, 1, 11, 0, 10.1, 1, 11.1, 0, 100, 1, 101],
      "float32",
    ),
    known([1, 2, 6], [0.9, 0.75, 0.6, 0.95, 0.5, 0.3, 0.2, 0.8, 0.6, 0.1, 0.5, 0.3], "float32"),
    known([1], [2]),
    known([1], [0.5], "float32"),
    known([1], [0.15], "float32"),
  ]),
  one(
    "NonMaxSuppression",
    "centre and size, corners flipped, no thresholds",
    10,
    [
      known([1, 3, 4], [0.5, 0.5, 1, 1, 0.5, 0.6, 1, 1, 0.5, 10.5, 1, 1], "float32"),
      known([1, 1, 3], [0.9, 0.75, 0.6], "float32"),
      known([], [3]),
    ],
    { center_point_box: 1 },
  ),
  ...[8, 12].flatMap((opset) => [
    one(
      "MaxPool",
      "indices",
      opset,
      [distinct(2, 2, 4, 5)],
      { kernel_shape: [2, 2], strides: [2, 2] },
      { outputs: 2 },
    ),
    one(
      "MaxPool",
      "indices, padding, column-major",
      opset,
      [distinct(1, 2, 5, 4)],
      { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], storage_order: 1 },
      { outputs: 2 },
    ),
  ]),
  one(
    "MaxPool",
    "indices, 1-D",
    12,
    [distinct(2, 2, 7)],
    { kernel_shape: [3], strides: [2] },
    { outputs: 2 },
  ),
  one(
    "MaxPool",
    "indices, 3-D, column-major",
    12,
    [distinct(1, 2, 4, 3, 4)],
    { kernel_shape: [2, 2, 2], strides: [2, 1, 2], storage_order: 1 },
    { outputs: 2 },
  ),
  one("MaxUnpool", "2×2", 11, [t(1, 1, 2, 2), known([1, 1, 2, 2], [5, 7, 13, 15])], {
    kernel_shape: [2, 2],
    strides: [2, 2],
  }),
  one(
    "MaxUnpool",
    "traced indices",
    11,
    [t(1, 2, 2), { dims: [1, 2, 2], data: [1, 2, 4, 7], dtype: "int64" }],
    { kernel_shape: [2], strides: [2] },
  ),

  one("Col2Im", "blocks side by side", 18, [t(1, 5, 5), known([2], [5, 5]), known([2], [1, 5])]),
  one("Col2Im", "overlap, padding, channels", 18, [t(2, 8, 12), known([2], [4, 3]), known([2], [2, 2])], {
    pads: [0, 1, 0, 1],
  }),
  one("Col2Im", "strides and dilations", 18, [t(1, 4, 4), known([2], [6, 5]), known([2], [2, 2])], {
    strides: [2, 2],
    dilations: [2, 1],
  }),

  ...[19, 22].flatMap((opset) => [
    one(
      "DeformConv",
      "offsets, mask, bias",
      opset,
      [
        t(1, 2, 4, 4),
        t(2, 2, 2, 2),
        grid([4, 4], false, [1, 8, 3, 3], 0),
        t(2),
        { dims: [1, 4, 3, 3], range: [0.2, 1] },
      ],
      {},
      {},
    ),
    one(
      "DeformConv",
      "groups, stride, padding",
      opset,
      [t(1, 4, 5, 5), t(4, 2, 2, 2), grid([5, 5], false, [1, 16, 3, 3], 0)],
      { group: 2, offset_group: 2, strides: [2, 2], pads: [1, 1, 0, 0] },
    ),
  ]),
];
