import * as tf from "@tensorflow/tfjs-core";
import { notTrainable } from "../../errors.ts";
import { conv, convInputGrad } from "../../kernels/conv.ts";
import { slice } from "../../kernels/movement.ts";
import { maxPool, sumPool } from "../../kernels/pool.ts";
import { resize } from "../../kernels/resize.ts";
import { outputSpatial, resolveWindow, type WindowAttributes } from "../../kernels/window.ts";
import { type Inputs, type OperatorContext, toNumbers, toTensor, type Value } from "../value.ts";

export function Conv(
  [x, w, b]: Inputs,
  { group = 1, ...rest }: WindowAttributes & { group?: number },
  { where }: OperatorContext,
): Value {
  const [input, filter] = [toTensor(x!), toTensor(w!)];
  const [channels, perGroup] = [input.shape[1]!, filter.shape[1]!];
  if (channels !== perGroup * group)
    throw notTrainable(
      "CONV_CHANNELS",
      `${where}: input channels ${channels} must match weight channels ${perGroup} × group ${group}.`,
    );
  const window = resolveWindow(filter.shape.slice(2), input.shape.slice(2), rest);
  const spatial = outputSpatial(input.shape.slice(2), window);
  return conv(input, filter, b && toTensor(b), {
    ...window,
    group,
    inputShape: input.shape,
    filterShape: filter.shape,
    outputShape: [input.shape[0]!, filter.shape[0]!, ...spatial],
  });
}

interface TransposeAttributes extends WindowAttributes {
  readonly group?: number;
  readonly output_padding?: readonly number[];
  readonly output_shape?: readonly number[];
}
/** The input gradient of a convolution; w is [C, O/group, kernel…]. */
export function ConvTranspose([x, w, b]: Inputs, attributes: TransposeAttributes): Value {
  const { group = 1, auto_pad = "NOTSET", output_shape } = attributes;
  const [input, filter] = [toTensor(x!), toTensor(w!)];
  const kernel = filter.shape.slice(2);
  const rank = kernel.length;
  const ones = kernel.map(() => 1);
  const strides = attributes.strides ?? ones;
  const dilations = attributes.dilations ?? ones;
  const extra = attributes.output_padding ?? kernel.map(() => 0);
  let pads = [...(attributes.pads ?? [...kernel, ...kernel].map(() => 0))];
  const full = kernel.map(
    (k, i) => (input.shape[i + 2]! - 1) * strides[i]! + extra[i]! + (k - 1) * dilations[i]! + 1,
  );
  let spatial = full.map((f, i) => f - pads[i]! - pads[rank + i]!);
  const wanted =
    output_shape?.slice(-rank) ??
    (auto_pad.startsWith("SAME") ? kernel.map((_, i) => input.shape[i + 2]! * strides[i]!) : undefined);
  if (wanted) {
    spatial = [...wanted];
    const total = full.map((f, i) => Math.max(0, f - wanted[i]!));
    const small = total.map((t) => Math.floor(t / 2));
    const large = total.map((t, i) => t - small[i]!);
    pads = auto_pad === "SAME_UPPER" ? [...small, ...large] : [...large, ...small];
  } else if (auto_pad === "VALID") {
    pads = [...kernel, ...kernel].map(() => 0);
    spatial = full;
  }
  const y = convInputGrad(input, filter, {
    kernel,
    strides,
    dilations,
    pads,
    group,
    inputShape: [input.shape[0]!, filter.shape[1]! * group, ...spatial],
    filterShape: filter.shape,
    outputShape: input.shape,
  });
  return b ? tf.add(y, tf.reshape(toTensor(b), [-1, ...ones])) : y;
}

interface PoolingAttributes extends WindowAttributes {
  readonly kernel_shape: readonly number[];
  readonly ceil_mode?: number;
  readonly count_include_pad?: number;
}
function pooling(x: tf.Tensor, { kernel_shape, ceil_mode = 0, ...rest }: PoolingAttributes) {
  const spatial = x.shape.slice(2);
  const window = resolveWindow(kernel_shape, spatial, rest);
  const out = outputSpatial(spatial, window, ceil_mode !== 0);
  const rank = spatial.length;
  // ceil_mode reads past the end: the end padding grows to what the last window needs.
  const pads = [...window.pads];
  out.forEach((count, i) => {
    const reach = (count - 1) * window.strides[i]! + (kernel_shape[i]! - 1) * window.dilations[i]! + 1;
    pads[rank + i] = Math.max(pads[rank + i]!, reach - spatial[i]! - pads[i]!);
  });
  return {
    given: window.pads,
    attributes: { ...window, pads, inputShape: x.shape, outputShape: [...x.shape.slice(0, 2), ...out] },
  };
}

export function MaxPool([x]: Inputs, attributes: PoolingAttributes, { where, node }: OperatorContext): Value {
  if (node.outputs.length > 1 && node.outputs[1])
    throw notTrainable("MAXPOOL_INDICES", `${where}: the Indices output of MaxPool cannot be imported.`);
  const t = toTensor(x!);
  return maxPool(t, pooling(t, attributes).attributes);
}

/** Window sums over window sizes; what ceil_mode adds past the padding never counts. */
export function AveragePool([x]: Inputs, attributes: PoolingAttributes): Value {
  const t = toTensor(x!);
  const { given, attributes: a } = pooling(t, attributes);
  const rank = a.kernel.length;
  const spatial = t.shape.slice(2);
  const include = attributes.count_include_pad === 1;
  // The count is a product of one factor per axis.
  let counts: tf.Tensor = tf.scalar(1);
  for (let i = 0; i < rank; i++) {
    const [low, high] = include
      ? [0, spatial[i]! + given[i]! + given[rank + i]!]
      : [given[i]!, given[i]! + spatial[i]!];
    const perPosition = Array.from({ length: a.outputShape[i + 2]! }, (_, at) => {
      let n = 0;
      for (let k = 0; k < a.kernel[i]!; k++) {
        const place = at * a.strides[i]! + k * a.dilations[i]!;
        if (place >= low && place < high) n++;
      }
      return 1 / n;
    });
    counts = tf.mul(
      counts,
      tf.reshape(tf.tensor1d(perPosition), [perPosition.length, ...Array(rank - 1 - i).fill(1)]),
    );
  }
  return tf.mul(sumPool(t, a), counts);
}

const spatialAxes = (x: tf.Tensor) => x.shape.map((_, i) => i).slice(2);
export const GlobalAveragePool = ([x]: Inputs): Value =>
  tf.mean(toTensor(x!), spatialAxes(toTensor(x!)), true);
/** One window over everything: unlike tf.max, its gradient goes to the first maximum only. */
export function GlobalMaxPool([x]: Inputs): Value {
  const t = toTensor(x!);
  return maxPool(t, pooling(t, { kernel_shape: t.shape.slice(2) }).attributes);
}

/** A window of zeros has norm 0 and, by choice, gradient 0: the root's own would be infinite. */
const TINY = 1e-30;
const powers = (x: tf.Tensor, p: number) =>
  p === 2 ? tf.mul(x, x) : p === 1 ? tf.abs(x) : tf.pow(tf.abs(x), tf.scalar(p));
function root(sums: tf.Tensor, p: number): tf.Tensor {
  if (p === 1) return sums;
  const positive = tf.maximum(sums, tf.scalar(TINY));
  return p === 2 ? tf.sqrt(positive) : tf.pow(positive, tf.scalar(1 / p));
}
/** (Σ |x|^p)^(1/p) over each window. */
export function LpPool([x]: Inputs, { p = 2, ...rest }: PoolingAttributes & { p?: number }): Value {
  const t = toTensor(x!);
  return root(sumPool(powers(t, p), pooling(t, rest).attributes), p);
}
export function GlobalLpPool([x]: Inputs, { p = 2 }: { p?: number }): Value {
  const t = toTensor(x!);
  return root(tf.sum(powers(t, p), spatialAxes(t), true), p);
}

/** Constant padding by concatenation, reflection and edge by picking; negative pads cut off. */
function padded(
  x: tf.Tensor,
  pads: readonly number[],
  mode: string,
  value: number,
  where: string,
): tf.Tensor {
  const rank = x.rank;
  let y = x;
  for (let axis = 0; axis < rank; axis++) {
    const [before, after] = [pads[axis]!, pads[rank + axis]!];
    const length = y.shape[axis]!;
    if (before < 0 || after < 0) {
      const start = Math.max(0, -before);
      const size = length - start - Math.max(0, -after);
      y = slice(
        y,
        y.shape.map((_, i) => (i === axis ? start : 0)),
        y.shape.map((d, i) => (i === axis ? size : d)),
        y.shape.map(() => 1),
      );
    }
    const [low, high] = [Math.max(0, before), Math.max(0, after)];
    if (low + high === 0) continue;
    const one = (at: number) =>
      slice(
        y,
        y.shape.map((_, i) => (i === axis ? at : 0)),
        y.shape.map((d, i) => (i === axis ? 1 : d)),
        y.shape.map(() => 1),
      );
    const strip = (width: number) =>
      tf.fill(
        y.shape.map((d, i) => (i === axis ? width : d)),
        value,
        y.dtype as "float32",
      );
    const n = y.shape[axis]!;
    const at = (i: number) =>
      mode === "edge"
        ? Math.max(0, Math.min(n - 1, i))
        : mode === "wrap"
          ? ((i % n) + n) % n
          : i < 0
            ? -i
            : i >= n
              ? 2 * n - 2 - i
              : i;
    if (!["constant", "edge", "reflect", "wrap"].includes(mode))
      throw notTrainable("PAD_MODE", `${where}: padding mode "${mode}" is not supported.`);
    const head =
      mode === "constant"
        ? low
          ? [strip(low)]
          : []
        : Array.from({ length: low }, (_, i) => one(at(i - low)));
    const tail =
      mode === "constant"
        ? high
          ? [strip(high)]
          : []
        : Array.from({ length: high }, (_, i) => one(at(n + i)));
    y = tf.concat([...head, y, ...tail], axis);
  }
  return y;
}
export const Pad = (
  [x]: Inputs,
  {
    pads,
    paddings,
    mode = "constant",
    value = 0,
  }: { pads?: readonly number[]; paddings?: readonly number[]; mode?: string; value?: number },
  { where }: OperatorContext,
): Value => padded(toTensor(x!), pads ?? paddings ?? [], mode, value, where);
export function Pad_11(
  [x, pads, value, axes]: Inputs,
  { mode = "constant" }: { mode?: string },
  context: OperatorContext,
): Value {
  const t = toTensor(x!);
  const given = toNumbers(pads, "pads", context);
  const fill = value === undefined ? 0 : (toNumbers(value, "constant_value", context)[0] ?? 0);
  if (!axes) return padded(t, given, mode, fill, context.where);
  const chosen = toNumbers(axes, "axes", context);
  const all = new Array<number>(2 * t.rank).fill(0);
  chosen.forEach((axis, i) => {
    const a = axis < 0 ? axis + t.rank : axis;
    all[a] = given[i]!;
    all[t.rank + a] = given[chosen.length + i]!;
  });
  return padded(t, all, mode, fill, context.where);
}

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
  const axes = (attributes.axes ?? x.shape.map((_, i) => i)).map((a) => (a < 0 ? a + x.rank : a));
  const wanted = given.sizes ?? given.scales;
  if (!wanted || wanted.length !== axes.length)
    throw notTrainable(
      "RESIZE_SIZES",
      `${where}: ${axes.length} scales or sizes are needed, one per resized axis, but ${wanted?.length ?? 0} were given.`,
    );
  let scales = given.scales ?? given.sizes!.map((size, i) => size / x.shape[axes[i]!]!);
  let outputs = given.sizes ?? scales.map((s, i) => Math.floor(Math.fround(s) * x.shape[axes[i]!]!));
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
          scale !== 1 || input !== output || (cropping && (start !== 0 || end !== 1)),
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

export const Upsample = (
  [x]: Inputs,
  { mode = "nearest", scales = [] }: { mode?: string; scales?: readonly number[] },
  { where }: OperatorContext,
): Value => resized(toTensor(x!), { scales }, { ...LEGACY, mode }, where);
export const Upsample_9 = (
  [x, scales]: Inputs,
  { mode = "nearest" }: { mode?: string },
  context: OperatorContext,
): Value =>
  resized(toTensor(x!), { scales: toNumbers(scales, "scales", context) }, { ...LEGACY, mode }, context.where);
export const Resize_10 = Upsample_9;
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
