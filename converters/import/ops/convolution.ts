import { elementCount } from "../../dims.ts";
import { notTrainable } from "../../errors.ts";
import { conv, convInputGrad, padSpatial } from "../../kernels/conv.ts";
import { maxPool, maxPoolIndices, sumPool } from "../../kernels/pool.ts";
import { sample } from "../../kernels/sample.ts";
import { scatterRows } from "../../kernels/scatter.ts";
import { outputSpatial, resolveWindow, taps, type WindowAttributes } from "../../kernels/window.ts";
import { tf } from "../../tf.ts";
import { alongAxesAfter, axesFrom, facts, unlessBatchIn } from "../operator.ts";
import { type Inputs, type OperatorContext, toNumbers, toTensor, type Value } from "../value.ts";
import { matMul } from "./linalg.ts";

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
Conv.facts = facts({ mixes: unlessBatchIn(0) });

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
  // SAME limits the output to input × stride; elements that no window reaches are not added.
  const wanted =
    output_shape?.slice(-rank) ??
    (auto_pad.startsWith("SAME")
      ? full.map((f, i) => Math.min(f, input.shape[i + 2]! * strides[i]!))
      : undefined);
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
ConvTranspose.facts = facts({ mixes: unlessBatchIn(0) });

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

/** Indices are flat places in x; with storage_order 1 the spatial axes are counted column-major. */
export function MaxPool(
  [x]: Inputs,
  { storage_order = 0, ...rest }: PoolingAttributes & { storage_order?: number },
  { node }: OperatorContext,
): Value | Value[] {
  // Codes of a quantised activation are pooled as float32, which is exact for 16-bit integers.
  const codes = toTensor(x!);
  const t = codes.dtype === "float32" ? codes : tf.cast(codes, "float32");
  const { attributes } = pooling(t, rest);
  const pooled = maxPool(t, attributes);
  const y = codes.dtype === "float32" ? pooled : tf.cast(pooled, codes.dtype);
  if (!node.outputs[1]) return y;
  const indices = maxPoolIndices(t, attributes);
  return [y, storage_order === 0 ? indices : columnMajor(indices, t.shape.slice(2))];
}
MaxPool.facts = facts({ mixes: alongAxesAfter(1), integers: "keeps" });

/** Converts row-major indices within each plane to column-major ones (first spatial axis fastest). */
function columnMajor(indices: tf.Tensor, spatial: readonly number[]): tf.Tensor {
  const int = (v: number) => tf.scalar(v, "int32");
  const size = elementCount(spatial);
  const quotient = (a: tf.Tensor, b: number) => tf.floorDiv(a, int(b));
  const plane = tf.mul(quotient(indices, size), int(size));
  return spatial.reduce<tf.Tensor>((sum, d, axis) => {
    const at = tf.mod(quotient(indices, elementCount(spatial.slice(axis + 1))), int(d));
    return tf.add(sum, tf.mul(at, int(elementCount(spatial.slice(0, axis)))));
  }, plane);
}

/**
 * Writes each value at the place given by MaxPool's Indices, zeros elsewhere. A larger output_shape is padded
 * at the ends.
 */
export function MaxUnpool(
  [x, indices, outputShape]: Inputs,
  { kernel_shape, ...rest }: WindowAttributes & { kernel_shape: readonly number[] },
  context: OperatorContext,
): Value {
  const t = toTensor(x!);
  const rank = kernel_shape.length;
  const strides = rest.strides ?? kernel_shape.map(() => 1);
  const pads = rest.pads ?? [...kernel_shape, ...kernel_shape].map(() => 0);
  const inferred = kernel_shape.map(
    (k, i) => (t.shape[i + 2]! - 1) * strides[i]! + k - pads[i]! - pads[rank + i]!,
  );
  const shape = [...t.shape.slice(0, 2), ...inferred];
  const wanted = outputShape ? toNumbers(outputShape, "output_shape", context) : shape;
  const places = tf.reshape(tf.cast(toTensor(indices!), "int32"), [-1]);
  const zeros = tf.zeros([elementCount(shape), 1]);
  const y = tf.reshape(scatterRows(zeros, places, tf.reshape(t, [t.size, 1]), "none"), shape);
  return padSpatial(y, [
    ...inferred.map(() => 0),
    ...inferred.map((d, i) => wanted[wanted.length - rank + i]! - d),
  ]);
}
MaxUnpool.facts = facts({ mixes: alongAxesAfter(1) });

/**
 * Adds columns [N, C·block, L] up at their places in the image. This is the input gradient of a depthwise
 * convolution whose filters each have a single 1.
 */
export function Col2Im(
  [columns, imageShape, blockShape]: Inputs,
  attributes: WindowAttributes,
  context: OperatorContext,
): Value {
  const t = toTensor(columns!);
  const image = toNumbers(imageShape, "image_shape", context);
  const kernel = toNumbers(blockShape, "block_shape", context);
  const window = resolveWindow(kernel, image, attributes);
  const [n, rows] = t.shape as [number, number];
  const block = elementCount(kernel);
  const channels = rows / block;
  const taps = new Float32Array(rows * block);
  for (let i = 0; i < rows; i++) taps[i * block + (i % block)] = 1;
  const outputShape = [n, rows, ...outputSpatial(image, window)];
  const filterShape = [rows, 1, ...kernel];
  return convInputGrad(tf.reshape(t, outputShape), tf.tensor(taps, filterShape, "float32"), {
    ...window,
    group: channels,
    inputShape: [n, channels, ...image],
    filterShape,
    outputShape,
  });
}
Col2Im.facts = facts({
  mixes: alongAxesAfter(0),
  note: "as in ONNX; ONNX Runtime 1.30 itself errs with dilations in 1-D and 3-D",
});

/**
 * A convolution that samples its input at window position + offset (bilinear, zeros outside), times the mask.
 */
export function DeformConv(
  [x, w, offset, b, mask]: Inputs,
  { group = 1, offset_group = 1, ...rest }: WindowAttributes & { group?: number; offset_group?: number },
): Value {
  const [input, filter, offsets] = [toTensor(x!), toTensor(w!), toTensor(offset!)];
  const [n, c] = input.shape as [number, number];
  const [o, perGroup, ...kernel] = filter.shape as [number, number, ...number[]];
  const window = resolveWindow(kernel, input.shape.slice(2), rest);
  const spatial = outputSpatial(input.shape.slice(2), window);
  const [k, l] = [elementCount(kernel), elementCount(spatial)];
  const expected = offset_group * kernel.length * k;
  if (offsets.shape[1] !== expected)
    throw new Error(
      `the offset has ${offsets.shape[1]} channels where offset_group ${offset_group} and a kernel of ${k} places need ${expected}; ONNX Runtime does not run this node either`,
    );
  const groups = n * offset_group;
  // Coordinate along axis r that each tap reads at each window position, [1, k·l].
  const fixed = kernel.map((_, r) => {
    const stride = elementCount(spatial.slice(r + 1));
    const places = taps(window).flatMap((tap) =>
      Array.from(
        { length: l },
        (_v, i) => (Math.floor(i / stride) % spatial[r]!) * window.strides[r]! - window.pads[r]! + tap[r]!,
      ),
    );
    return tf.tensor2d(Float32Array.from(places), [1, k * l]);
  });
  const moved = tf.split(tf.reshape(offsets, [groups, k, kernel.length, l]), kernel.length, 2);
  const coordinates = fixed.map((f, r) => tf.add(tf.reshape(moved[r]!, [groups, k * l]), f));
  const perOffset = tf.reshape(input, [groups, c / offset_group, ...input.shape.slice(2)]);
  const options = { interpolation: "linear", padding: "zeros", alignCorners: false } as const;
  let columns = sample(perOffset, coordinates, options);
  if (mask) columns = tf.mul(columns, tf.reshape(toTensor(mask), [groups, 1, k * l]));
  const sides = tf.reshape(columns, [n, group, perGroup * k, l]);
  const rows = tf.reshape(filter, [1, group, o / group, perGroup * k]);
  const y = tf.reshape(matMul(rows, sides, false, false), [n, o, ...spatial]);
  return b ? tf.add(y, tf.reshape(toTensor(b), [o, ...spatial.map(() => 1)])) : y;
}
DeformConv.facts = facts({ mixes: unlessBatchIn(0, -1, 0, -1, 0) });

/** Window sums divided by window sizes. Elements that ceil_mode adds beyond the padding never count. */
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
AveragePool.facts = facts({ mixes: alongAxesAfter(1) });

const spatialAxes = (x: tf.Tensor) => axesFrom(2, x.rank);
export const GlobalAveragePool = ([x]: Inputs): Value =>
  tf.mean(toTensor(x!), spatialAxes(toTensor(x!)), true);
GlobalAveragePool.facts = facts({ mixes: alongAxesAfter(1) });
/** One window over everything, so that, unlike tf.max, the gradient goes to the first maximum only. */
export function GlobalMaxPool([x]: Inputs): Value {
  const t = toTensor(x!);
  return maxPool(t, pooling(t, { kernel_shape: t.shape.slice(2) }).attributes);
}
GlobalMaxPool.facts = facts({ mixes: alongAxesAfter(1) });

/**
 * A window of zeros has norm 0 and, by convention, gradient 0; the gradient of the root would be infinite.
 */
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
LpPool.facts = facts({ mixes: alongAxesAfter(1) });
export function GlobalLpPool([x]: Inputs, { p = 2 }: { p?: number }): Value {
  const t = toTensor(x!);
  return root(tf.sum(powers(t, p), spatialAxes(t), true), p);
}
GlobalLpPool.facts = facts({ mixes: alongAxesAfter(1) });
