import { elementCount } from "../dims.ts";
import { tf } from "../tf.ts";
import type { ScatterAttributes, TopKAttributes } from "./attributes.ts";
import { defineKernel, type Kernel } from "./custom.ts";
import { gather } from "./movement.ts";

export type Reduction = ScatterAttributes["reduction"];

/** The value of an element after an update. */
export const COMBINE: Readonly<Record<Reduction, (old: number, update: number) => number>> = {
  none: (_, u) => u,
  add: (a, u) => a + u,
  mul: (a, u) => a * u,
  max: Math.max,
  min: Math.min,
};

const zerosAt = (x: tf.Tensor, indices: tf.Tensor, updates: tf.Tensor) =>
  scatterKernel([x, indices, tf.zeros(updates.shape)], { reduction: "none" });
const sumAt = (like: tf.Tensor, indices: tf.Tensor, updates: tf.Tensor) =>
  scatterKernel([tf.zeros(like.shape), indices, updates], { reduction: "add" });
const as = (condition: tf.Tensor) => tf.cast(condition, "float32");

/**
 * Gradient of a product: each factor gets the product of the others, computed so that zero factors are exact.
 */
function productGradients(dy: tf.Tensor, data: tf.Tensor, indices: tf.Tensor, updates: tf.Tensor) {
  const isZero = (x: tf.Tensor) => as(tf.equal(x, tf.scalar(0)));
  const nonzero = (x: tf.Tensor) => tf.add(x, isZero(x));
  const zeros = tf.add(isZero(data), sumAt(data, indices, isZero(updates)));
  const product = scatterKernel([nonzero(data), indices, nonzero(updates)], { reduction: "mul" });
  const others = (factor: tf.Tensor, total: tf.Tensor, count: tf.Tensor) =>
    tf.mul(tf.div(total, nonzero(factor)), as(tf.equal(count, isZero(factor))));
  return [
    () => tf.mul(dy, others(data, product, zeros)),
    () =>
      tf.mul(gather(dy, indices, 0), others(updates, gather(product, indices, 0), gather(zeros, indices, 0))),
  ] as const;
}

/** The gradient is shared equally by all elements that equal the extremum. */
function extremumGradients(
  dy: tf.Tensor,
  data: tf.Tensor,
  indices: tf.Tensor,
  updates: tf.Tensor,
  y: tf.Tensor,
) {
  const own = as(tf.equal(data, y));
  const theirs = as(tf.equal(updates, gather(y, indices, 0)));
  const part = tf.div(dy, tf.add(own, sumAt(data, indices, theirs)));
  return [() => tf.mul(part, own), () => tf.mul(gather(part, indices, 0), theirs)] as const;
}

/**
 * Writes rows of updates [K, I] into data [M, I] at indices [K] (0 ≤ index < M), or combines them.
 * The compiler lowers it to ScatterElements: ONNX Runtime's ScatterND(add) loses updates on equal indices.
 */
const scatterKernel: Kernel<ScatterAttributes> = defineKernel({
  name: "OnnxScatterRows",
  composed: ([data, indices, updates], { reduction }) => {
    const values = data!.dataSync().slice();
    const places = indices!.dataSync();
    const news = updates!.dataSync();
    const width = data!.shape[1]!;
    const combine = COMBINE[reduction];
    for (let k = 0; k < places.length; k++)
      for (let i = 0; i < width; i++) {
        const at = places[k]! * width + i;
        values[at] = combine(values[at]!, news[k * width + i]!);
      }
    return tf.tensor(values, data!.shape, data!.dtype);
  },
  gradient: (dy, [data, indices, updates], y, { reduction }) => {
    if (reduction === "mul") {
      const [ofData, ofUpdates] = productGradients(dy, data!, indices!, updates!);
      return [ofData, undefined, ofUpdates];
    }
    if (reduction === "max" || reduction === "min") {
      const [ofData, ofUpdates] = extremumGradients(dy, data!, indices!, updates!, y);
      return [ofData, undefined, ofUpdates];
    }
    return [
      () => (reduction === "add" ? dy : zerosAt(dy, indices!, updates!)),
      undefined,
      () => gather(dy, indices!, 0),
    ];
  },
});
export const scatterRows = (
  data: tf.Tensor,
  indices: tf.Tensor,
  updates: tf.Tensor,
  reduction: Reduction,
): tf.Tensor => scatterKernel([data, indices, updates], { reduction });

/** Indices of the k first values along an axis, sorted; of equal values the earlier one comes first. */
export function topPlaces(
  values: ArrayLike<number>,
  shape: readonly number[],
  { k, axis, largest }: TopKAttributes,
): Int32Array {
  const length = shape[axis]!;
  const inner = elementCount(shape.slice(axis + 1));
  const outer = elementCount(shape.slice(0, axis));
  const out = new Int32Array(outer * k * inner);
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) {
      const value = (at: number) => values[(o * length + at) * inner + i]!;
      const order = Array.from({ length }, (_, at) => at).sort((a, b) => {
        const difference = largest ? value(b) - value(a) : value(a) - value(b);
        return difference || a - b;
      });
      for (let rank = 0; rank < k; rank++) out[(o * k + rank) * inner + i] = order[rank]!;
    }
  return out;
}

const topKKernel = defineKernel({
  name: "OnnxTopKIndices",
  composed: ([x], a) =>
    tf.tensor(
      topPlaces(x!.dataSync(), x!.shape, a),
      x!.shape.map((d, i) => (i === a.axis ? a.k : d)),
      "int32",
    ),
  gradient: () => [undefined],
});
/**
 * int32 indices of the k largest or smallest values. No gradient: the caller gathers the values with them.
 */
export const topKIndices = (x: tf.Tensor, attributes: TopKAttributes): tf.Tensor =>
  topKKernel([x], attributes);
