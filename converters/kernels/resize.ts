import { elementCount } from "../dims.ts";
import { tf } from "../tf.ts";
import { expand } from "./movement.ts";

export interface ResizeOptions {
  readonly mode: string;
  readonly coordinates: string;
  readonly nearest: string;
  readonly cubicA: number;
  readonly excludeOutside: boolean;
  readonly antialias: boolean;
  readonly extrapolation: number;
}

export interface ResizeAxis {
  readonly axis: number;
  readonly scale: number;
  readonly input: number;
  readonly output: number;
  /** Region of interest, for tf_crop_and_resize only. */
  readonly start: number;
  readonly end: number;
}

const f = Math.fround;

/**
 * Input coordinate of an output index. Rounded to float32 as in ONNX Runtime, as ties of "nearest" depend on
 * it.
 */
function source(at: number, { scale, input, output, start, end }: ResizeAxis, mode: string): number {
  const s = f(scale);
  // ONNX Runtime does not change an axis of scale 1, whatever the region of interest.
  if (s === 1) return at;
  const half = f(f(f(at + 0.5) / s) - 0.5);
  switch (mode) {
    case "asymmetric":
      return f(at / s);
    case "align_corners":
      return output === 1 ? 0 : f(f(at * (input - 1)) / (output - 1));
    case "pytorch_half_pixel":
      return output > 1 ? half : 0;
    case "tf_half_pixel_for_nn":
      return f(f(at + 0.5) / s);
    case "half_pixel_symmetric": {
      const adjustment = f(output / f(s * input));
      return f(f(f(input / 2) * f(1 - adjustment)) + half);
    }
    case "tf_crop_and_resize":
      return output > 1
        ? f(start * (input - 1) + (at * (end - start) * (input - 1)) / (output - 1))
        : f(0.5 * (start + end) * (input - 1));
    default:
      return half;
  }
}

function nearestIndex(x: number, mode: string, scale: number): number {
  switch (mode) {
    case "floor":
      return Math.floor(x);
    case "ceil":
      return Math.ceil(x);
    case "round_prefer_ceil":
      return Math.floor(x + 0.5);
    // Before opset 11 there was no choice: enlarging took the floor, shrinking the ceiling.
    case "simple":
      return scale < 1 ? Math.ceil(x) : Math.floor(x);
    default:
      return Math.ceil(x - 0.5);
  }
}

const triangle = (d: number) => Math.max(0, 1 - Math.abs(d));
/** Keys' cubic convolution kernel. */
function cubic(distance: number, a: number): number {
  const d = Math.abs(distance);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

interface AxisWeights {
  /** Row-major [output, input]. */
  readonly matrix: Float64Array;
  /** 0 where the position lies outside the region of interest. */
  readonly inside: Float64Array;
}

function axisWeights(plan: ResizeAxis, o: ResizeOptions): AxisWeights {
  const { input, output, scale } = plan;
  const matrix = new Float64Array(output * input);
  const inside = new Float64Array(output).fill(1);
  const clamp = (i: number) => Math.max(0, Math.min(input - 1, i));
  for (let at = 0; at < output; at++) {
    let x = source(at, plan, o.coordinates);
    if (o.coordinates === "tf_crop_and_resize" && (x < 0 || x > input - 1)) {
      inside[at] = 0;
      continue;
    }
    const row = matrix.subarray(at * input, (at + 1) * input);
    if (o.mode === "nearest") {
      row[clamp(nearestIndex(x, o.nearest, scale))] = 1;
      continue;
    }
    const narrow = o.antialias && scale < 1 ? scale : 1;
    const reach = (o.mode === "cubic" ? 2 : 1) / narrow;
    const weight = (d: number) => (o.mode === "cubic" ? cubic(d * narrow, o.cubicA) : triangle(d * narrow));
    if (o.mode !== "cubic" && narrow === 1) x = clamp(x);
    let total = 0;
    for (let i = Math.floor(x - reach); i <= Math.ceil(x + reach); i++) {
      const isOutside = i < 0 || i > input - 1;
      if (isOutside && o.excludeOutside) continue;
      const w = weight(i - x);
      row[clamp(i)]! += w;
      total += w;
    }
    if (o.excludeOutside || narrow < 1) for (let i = 0; i < input; i++) row[i]! /= total;
  }
  return { matrix, inside };
}

/** The integer factor k if output i copies input ⌊i / k⌋; else undefined. */
function repetition({ matrix }: AxisWeights, { input, output }: ResizeAxis): number | undefined {
  if (output % input !== 0) return undefined;
  const k = output / input;
  for (let i = 0; i < output; i++) if (matrix[i * input + Math.floor(i / k)] !== 1) return undefined;
  return k;
}

/**
 * ONNX Resize. Interpolation is linear in x and separable: one matrix [output, input] per axis, computed on
 * the host. tfjs differentiates the matrix products.
 */
export function resize(x: tf.Tensor, axes: readonly ResizeAxis[], options: ResizeOptions): tf.Tensor {
  let y = x;
  const outside: { axis: number; inside: Float64Array }[] = [];
  for (const plan of axes) {
    const { axis, input, output } = plan;
    const weights = axisWeights(plan, options);
    if (weights.inside.includes(0)) outside.push({ axis, inside: weights.inside });
    const shape = y.shape.map((d, i) => (i === axis ? output : d));
    const outer = elementCount(y.shape.slice(0, axis));
    const inner = elementCount(y.shape.slice(axis + 1));
    const k = options.mode === "nearest" ? repetition(weights, plan) : undefined;
    if (k === 1) continue;
    if (k !== undefined) {
      const copies = expand(tf.reshape(y, [outer, input, 1, inner]), [outer, input, k, inner]);
      y = tf.reshape(copies, shape);
    } else if (inner === 1) {
      const matrix = tf.tensor2d(Float32Array.from(weights.matrix), [output, input]);
      y = tf.reshape(tf.matMul(tf.reshape(y, [outer, input]), matrix, false, true), shape);
    } else {
      const matrix = tf.tensor3d(Float32Array.from(weights.matrix), [1, output, input]);
      y = tf.reshape(tf.matMul(matrix, tf.reshape(y, [outer, input, inner])), shape);
    }
  }
  if (outside.length === 0 || options.extrapolation === 0) return y;
  const inside = outside
    .map(({ axis, inside: mask }) =>
      tf.reshape(
        tf.tensor1d(Float32Array.from(mask)),
        y.shape.map((d, i) => (i === axis ? d : 1)),
      ),
    )
    .reduce((a, b) => tf.mul(a, b));
  return tf.add(y, tf.mul(tf.sub(tf.scalar(1), inside), tf.scalar(options.extrapolation)));
}
