import { elementCount, LARGEST_FLOAT32, positiveAxis } from "../../dims.ts";
import { notTrainable } from "../../errors.ts";
import { gather } from "../../kernels/movement.ts";
import { resize } from "../../kernels/resize.ts";
import { type Padding, sample } from "../../kernels/sample.ts";
import { tf } from "../../tf.ts";
import {
  along,
  alongAxesAfter,
  axesFrom,
  facts,
  grown,
  numbersOf,
  type OperatorFacts,
  operator,
  resizesBatch,
  withInts,
} from "../operator.ts";
import {
  dimsOf,
  type Inputs,
  isHost,
  type OperatorContext,
  toNumbers,
  toTensor,
  type Value,
} from "../value.ts";

interface ResizeAttributes {
  readonly antialias?: number;
  readonly axes?: readonly number[];
  readonly coordinate_transformation_mode?: string;
  readonly cubic_coeff_a?: number;
  readonly exclude_outside?: number;
  readonly extrapolation_value?: number;
  readonly keep_aspect_ratio_policy?: string;
  readonly mode?: string;
  readonly nearest_mode?: string;
}
const COORDINATES = [
  "half_pixel",
  "half_pixel_symmetric",
  "pytorch_half_pixel",
  "align_corners",
  "asymmetric",
  "tf_half_pixel_for_nn",
  "tf_crop_and_resize",
];

function resized(
  x: tf.Tensor,
  given: { scales?: readonly number[]; sizes?: readonly number[]; roi?: readonly number[] },
  attributes: ResizeAttributes,
  where: string,
): tf.Tensor {
  const {
    antialias = 0,
    coordinate_transformation_mode: coordinates = "half_pixel",
    cubic_coeff_a = -0.75,
    exclude_outside = 0,
    extrapolation_value = 0,
    keep_aspect_ratio_policy: policy = "stretch",
    mode = "nearest",
    nearest_mode = "round_prefer_floor",
  } = attributes;
  if (!["nearest", "linear", "bilinear", "cubic"].includes(mode))
    throw notTrainable("RESIZE_MODE", `${where}: mode "${mode}" is not one of nearest, linear, cubic.`);
  if (!COORDINATES.includes(coordinates))
    throw notTrainable(
      "RESIZE_COORDINATES",
      `${where}: coordinate_transformation_mode "${coordinates}" is not one of ${COORDINATES.join(", ")}.`,
    );
  const axes = (attributes.axes ?? x.shape.map((_, i) => i)).map((a) => positiveAxis(a, x.rank));
  const wanted = given.sizes ?? given.scales;
  if (!wanted || wanted.length !== axes.length)
    throw notTrainable(
      "RESIZE_SIZES",
      `${where}: ${axes.length} scales or sizes are needed, one per resized axis, but ${wanted?.length ?? 0} were given.`,
    );
  let scales = given.scales ?? given.sizes!.map((size, i) => size / x.shape[axes[i]!]!);
  let outputs =
    given.sizes ?? scales.map((s, i) => Math.floor(Math.fround(Math.fround(s) * x.shape[axes[i]!]!)));
  if (given.sizes && policy !== "stretch") {
    const common = policy === "not_larger" ? Math.min(...scales) : Math.max(...scales);
    scales = scales.map(() => common);
    outputs = axes.map((a) => Math.floor(common * x.shape[a]! + 0.5));
  }
  const roi = given.roi ?? [];
  const cropping = coordinates === "tf_crop_and_resize";
  return resize(
    x,
    axes
      .map((axis, i) => ({
        axis,
        scale: scales[i]!,
        input: x.shape[axis]!,
        output: outputs[i]!,
        start: roi[i] ?? 0,
        end: roi[axes.length + i] ?? 1,
      }))
      .filter(
        ({ scale, input, output, start, end }) =>
          // ONNX Runtime's antialiasing copies an axis that keeps its length, whatever the scale.
          (scale !== 1 && !antialias) || input !== output || (cropping && (start !== 0 || end !== 1)),
      ),
    {
      mode,
      coordinates,
      nearest: nearest_mode,
      cubicA: cubic_coeff_a,
      excludeOutside: exclude_outside !== 0,
      antialias: antialias !== 0,
      extrapolation: extrapolation_value,
    },
  );
}

const LEGACY = { coordinate_transformation_mode: "asymmetric", nearest_mode: "simple" };
const givenNumbers = (value: Value | undefined, operand: string, context: OperatorContext) => {
  const numbers = value === undefined ? [] : toNumbers(value, operand, context);
  return numbers.length > 0 ? numbers : undefined;
};

const upsampling: OperatorFacts = {
  mixes: (node) => {
    const scales = (node.attributes["scales"] as readonly number[]) ?? numbersOf(node.inputs[1]);
    return (scales[node.axes.inputs[0]!] ?? 1) !== 1;
  },
  frozen: { 1: "setting of Upsample" },
  note: "before opset 10; later Resize",
};
export const Upsample = (
  [x]: Inputs,
  { mode = "nearest", scales = [] }: { mode?: string; scales?: readonly number[] },
  { where }: OperatorContext,
): Value => resized(toTensor(x!), { scales }, { ...LEGACY, mode }, where);
Upsample.facts = upsampling;
export const Upsample_9 = (
  [x, scales]: Inputs,
  { mode = "nearest" }: { mode?: string },
  context: OperatorContext,
): Value =>
  resized(toTensor(x!), { scales: toNumbers(scales, "scales", context) }, { ...LEGACY, mode }, context.where);
Upsample_9.facts = upsampling;
export const Resize_10 = operator({ ...upsampling, frozen: { 1: "setting of Resize" } }, Upsample_9);
export function Resize_11(
  [x, roi, scales, sizes]: Inputs,
  attributes: ResizeAttributes,
  context: OperatorContext,
): Value {
  const crops = attributes.coordinate_transformation_mode === "tf_crop_and_resize";
  const region = crops ? givenNumbers(roi, "roi", context) : undefined;
  const factors = givenNumbers(scales, "scales", context);
  const extents = givenNumbers(sizes, "sizes", context);
  return resized(
    toTensor(x!),
    {
      ...(factors ? { scales: factors } : {}),
      ...(extents ? { sizes: extents } : {}),
      ...(region ? { roi: region } : {}),
    },
    attributes,
    context.where,
  );
}
Resize_11.facts = facts({
  mixes: (node) => {
    const { attributes, inputs, axes } = node;
    const [x, , scales] = inputs;
    const listed = (attributes["axes"] as readonly number[]) ?? axesFrom(0, dimsOf(x!).length);
    const at = listed.findIndex((a) => positiveAxis(a, dimsOf(x!).length) === axes.inputs[0]);
    const { coordinate_transformation_mode: coordinates, keep_aspect_ratio_policy: policy = "stretch" } =
      attributes;
    const others = coordinates === "tf_crop_and_resize" || policy !== "stretch";
    return at >= 0 && (others || (numbersOf(scales)[at] ?? 1) !== 1 || resizesBatch(node));
  },
  frozen: { 1: "setting of Resize", 2: "setting of Resize" },
  rebatch: (batch) => {
    const [axis, out] = [batch.axisOf(0), batch.own(batch.node.outputs[0]!)];
    if (!isHost(batch.inputs[3]) || axis === undefined || axis < 0 || !out) return batch.inputs;
    return withInts(batch.inputs, 3, grown(out, axis, batch));
  },
  note: "as ONNX Runtime where that departs from ONNX: align_corners counts whole output positions",
});

const INTERPOLATION: Readonly<Record<string, "nearest" | "linear" | "cubic">> = {
  nearest: "nearest",
  linear: "linear",
  bilinear: "linear",
  cubic: "cubic",
  bicubic: "cubic",
};
/**
 * Samples x [N,C,D1…Dr] at the points of grid [N,o1…or,r]. A point's coordinates start with the last spatial
 * axis; −1 and 1 are the borders.
 */
export function GridSample(
  [x, grid]: Inputs,
  {
    align_corners = 0,
    mode = "linear",
    padding_mode = "zeros",
  }: { align_corners?: number; mode?: string; padding_mode?: Padding },
  { where }: OperatorContext,
): Value {
  const interpolation = INTERPOLATION[mode];
  if (!interpolation)
    throw notTrainable("SAMPLE_MODE", `${where}: mode "${mode}" is not one of nearest, linear, cubic.`);
  const [t, g] = [toTensor(x!), toTensor(grid!)];
  const spatial = t.shape.slice(2);
  const [n, ...rest] = g.shape as [number, ...number[]];
  const out = rest.slice(0, -1);
  const points = tf
    .split(tf.reshape(g, [n, elementCount(out), spatial.length]), spatial.length, 2)
    .toReversed();
  const coordinates = spatial.map((length, i) => {
    const shifted = tf.add(tf.reshape(points[i]!, [n, elementCount(out)]), tf.scalar(1));
    return align_corners
      ? tf.mul(shifted, tf.scalar((length - 1) / 2))
      : tf.sub(tf.mul(shifted, tf.scalar(length / 2)), tf.scalar(0.5));
  });
  const y = sample(t, coordinates, {
    interpolation,
    padding: padding_mode,
    alignCorners: align_corners !== 0,
  });
  return tf.reshape(y, [n, t.shape[1]!, ...out]);
}
GridSample.facts = facts({ mixes: alongAxesAfter(0) });

/** The grid for GridSample: theta [N,r,r+1] times the homogeneous coordinates of an evenly spaced grid. */
export function AffineGrid(
  [theta, size]: Inputs,
  { align_corners = 0 }: { align_corners?: number },
  context: OperatorContext,
): Value {
  const [n, , ...spatial] = toNumbers(size, "size", context) as [number, number, ...number[]];
  const rank = spatial.length;
  const count = elementCount(spatial);
  const base = new Float32Array(count * (rank + 1)).fill(1);
  for (let i = 0; i < count; i++) {
    let rest = i;
    for (let axis = rank - 1; axis >= 0; axis--) {
      const length = spatial[axis]!;
      const at = rest % length;
      rest = Math.floor(rest / length);
      base[i * (rank + 1) + (rank - 1 - axis)] = align_corners
        ? length > 1
          ? (2 * at) / (length - 1) - 1
          : 0
        : (2 * at + 1) / length - 1;
    }
  }
  const grid = tf.matMul(
    tf.tensor3d(base, [1, count, rank + 1]),
    toTensor(theta!) as tf.Tensor3D,
    false,
    true,
  );
  return tf.reshape(grid, [n, ...spatial, rank]);
}
AffineGrid.facts = facts({ mixes: alongAxesAfter(0) });

interface RoiAttributes {
  readonly coordinate_transformation_mode?: string;
  readonly mode?: string;
  readonly output_height?: number;
  readonly output_width?: number;
  readonly sampling_ratio?: number;
  readonly spatial_scale?: number;
}
/** A region reads a single image, by the image's index; channels are independent. */
export const regional: OperatorFacts = {
  mixes: along(() => [0, 2, 3]),
  frozen: { 1: "regions of interest" },
  note: "regions are constants",
};
/**
 * Bilinear samples inside each bin of each region. Regions must be host values, as they decide the number of
 * samples.
 */
function roiAlign(
  [x, rois, batch]: Inputs,
  halfPixel: boolean,
  {
    mode = "avg",
    output_height: oh = 1,
    output_width: ow = 1,
    sampling_ratio = 0,
    spatial_scale = 1,
  }: RoiAttributes,
  context: OperatorContext,
): Value {
  const t = toTensor(x!);
  const [n, c, h, w] = t.shape as [number, number, number, number];
  const regions = toNumbers(rois, "rois", context);
  const images = toNumbers(batch, "batch_indices", context);
  const bins: { places: number[]; weights: number[] }[] = [];
  images.forEach((image, r) => {
    const offset = halfPixel ? 0.5 : 0;
    const [x1, y1, x2, y2] = regions.slice(4 * r, 4 * r + 4).map((v) => v * spatial_scale - offset) as [
      number,
      number,
      number,
      number,
    ];
    // Without half pixels, regions smaller than 1×1 are enlarged to it.
    const [width, height] = halfPixel ? [x2 - x1, y2 - y1] : [Math.max(x2 - x1, 1), Math.max(y2 - y1, 1)];
    const [binH, binW] = [height / oh, width / ow];
    const [gridH, gridW] =
      sampling_ratio > 0 ? [sampling_ratio, sampling_ratio] : [Math.ceil(binH), Math.ceil(binW)];
    for (let py = 0; py < oh; py++)
      for (let px = 0; px < ow; px++) {
        const bin = { places: [] as number[], weights: [] as number[] };
        for (let iy = 0; iy < gridH; iy++)
          for (let ix = 0; ix < gridW; ix++) {
            const sy = y1 + py * binH + ((iy + 0.5) * binH) / gridH;
            const sx = x1 + px * binW + ((ix + 0.5) * binW) / gridW;
            const outside = sy < -1 || sy > h || sx < -1 || sx > w;
            const [yy, xx] = [Math.min(Math.max(sy, 0), h - 1), Math.min(Math.max(sx, 0), w - 1)];
            const [y0, x0] = [Math.floor(yy), Math.floor(xx)];
            for (const [ty, wy] of [
              [y0, 1 - (yy - y0)],
              [Math.min(y0 + 1, h - 1), yy - y0],
            ] as const)
              for (const [tx, wx] of [
                [x0, 1 - (xx - x0)],
                [Math.min(x0 + 1, w - 1), xx - x0],
              ] as const) {
                bin.places.push((image * h + ty) * w + tx);
                bin.weights.push(outside ? 0 : wy * wx);
              }
          }
        bins.push(bin);
      }
  });
  const taps = Math.max(4, ...bins.map(({ places }) => places.length));
  const places = bins.flatMap((bin) => Array.from({ length: taps }, (_, i) => bin.places[i] ?? 0));
  const weights = bins.flatMap(({ weights: own }) =>
    Array.from(
      { length: taps },
      (_, i) => (own[i] ?? 0) / (mode === "avg" ? Math.max(1, own.length / 4) : 1),
    ),
  );
  const rows = tf.reshape(tf.transpose(t, [0, 2, 3, 1]), [n * h * w, c]);
  const values = gather(rows, tf.tensor1d(Int32Array.from(places), "int32"), 0);
  const column = tf.tensor2d(Float32Array.from(weights), [weights.length, 1]);
  const weighed = tf.reshape(tf.mul(values, column), [bins.length, taps, c]);
  const used = bins.map((bin) => bin.places.length);
  const pooled = mode === "avg" ? tf.sum(weighed, 1) : firstMaxima(weighed, used);
  return tf.transpose(tf.reshape(pooled, [images.length, oh, ow, c]), [0, 3, 1, 2]);
}

/**
 * Largest of the first used[b] entries of values [bins, entries, channels]; of equal ones the first gets the
 * gradient.
 */
export function firstMaxima(values: tf.Tensor, used: readonly number[]): tf.Tensor {
  const [bins, entries, c] = values.shape as [number, number, number];
  const beyond = used.flatMap((count) =>
    Array.from({ length: entries }, (_, i) => (i < count ? 0 : -LARGEST_FLOAT32)),
  );
  const bounded = tf.add(values, tf.tensor3d(Float32Array.from(beyond), [bins, entries, 1]));
  const int = (v: number) => tf.scalar(v, "int32");
  const bin = tf.reshape(tf.range(0, bins, 1, "int32"), [bins, 1]);
  const rows = tf.add(tf.mul(bin, int(entries)), tf.argMax(bounded, 1));
  const flat = tf.add(tf.mul(rows, int(c)), tf.range(0, c, 1, "int32"));
  return tf.reshape(gather(tf.reshape(values, [-1]), tf.reshape(flat, [-1]), 0), [bins, c]);
}

export const RoiAlign = (inputs: Inputs, attributes: RoiAttributes, context: OperatorContext): Value =>
  roiAlign(inputs, false, attributes, context);
RoiAlign.facts = regional;
export const RoiAlign_16 = (
  inputs: Inputs,
  { coordinate_transformation_mode = "half_pixel", ...rest }: RoiAttributes,
  context: OperatorContext,
): Value => roiAlign(inputs, coordinate_transformation_mode === "half_pixel", rest, context);
RoiAlign_16.facts = regional;
