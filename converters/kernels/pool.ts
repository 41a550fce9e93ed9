import { elementCount, LARGEST_FLOAT32 } from "../dims.ts";
import { tf } from "../tf.ts";
import type { PoolAttributes } from "./attributes.ts";
import { padSpatial, scatter, tapOf } from "./conv.ts";
import { defineKernel } from "./custom.ts";
import { slice } from "./movement.ts";
import { taps } from "./window.ts";

/** Adds dy of each window at its first maximum, as ONNX Runtime's indices do. */
const maxGradKernel = defineKernel({
  name: "OnnxMaxPoolGrad",
  composed: ([x, y, dy], a) => {
    const padded = padSpatial(x!, a.pads, -LARGEST_FLOAT32);
    const spatial = a.outputShape.slice(2);
    let open = tf.onesLike(y!);
    const total = taps(a)
      .map((offset) => {
        const hit = tf.mul(tf.cast(tf.equal(tapOf(padded, offset, spatial, a.strides), y!), "float32"), open);
        open = tf.sub(open, hit);
        return scatter(tf.mul(hit, dy!), offset, padded.shape, a.strides);
      })
      .reduce((p, q) => tf.add(p, q));
    return slice(total, [0, 0, ...a.pads.slice(0, spatial.length)], a.inputShape);
  },
});

const maxKernel = defineKernel({
  name: "OnnxMaxPool",
  composed: ([x], a) => {
    const padded = padSpatial(x!, a.pads, -LARGEST_FLOAT32);
    return taps(a)
      .map((offset) => tapOf(padded, offset, a.outputShape.slice(2), a.strides))
      .reduce((p, q) => tf.maximum(p, q));
  },
  gradient: (dy, [x], y, a) => [() => maxGradKernel([x!, y, dy], a)],
});

/** Row-major coordinates of a flat index. */
function coordinatesOf(place: number, dims: readonly number[]): number[] {
  let rest = place;
  return [...dims]
    .reverse()
    .map((d) => {
      const at = rest % d;
      rest = Math.floor(rest / d);
      return at;
    })
    .reverse();
}
const flatPlace = (at: readonly number[], dims: readonly number[]) =>
  at.reduce((sum, v, i) => sum * dims[i]! + v, 0);

/** Indices of the maxima, int32, row-major over the whole input [N, C, spatial…]; the first of equal ones. */
const maxIndicesKernel = defineKernel({
  name: "OnnxMaxPoolIndices",
  composed: ([x], a) => {
    const values = x!.dataSync();
    const spatial = a.inputShape.slice(2);
    const out = a.outputShape.slice(2);
    const [size, count] = [elementCount(spatial), elementCount(out)];
    const indices = new Int32Array(elementCount(a.outputShape));
    const planes = indices.length / count;
    const offsets = taps(a);
    for (let at = 0; at < count; at++) {
      // A window reads the same elements in every plane.
      const start = coordinatesOf(at, out).map((v, d) => v * a.strides[d]! - a.pads[d]!);
      const places = offsets
        .map((offset) => start.map((v, d) => v + offset[d]!))
        .filter((place) => place.every((v, d) => v >= 0 && v < spatial[d]!))
        .map((place) => flatPlace(place, spatial));
      for (let plane = 0; plane < planes; plane++) {
        let best = plane * size + places[0]!;
        for (const place of places)
          if (values[plane * size + place]! > values[best]!) best = plane * size + place;
        indices[plane * count + at] = best;
      }
    }
    return tf.tensor(indices, [...a.outputShape], "int32");
  },
  gradient: () => [undefined],
});

/** Sum over each window; the caller divides by the counts. Linear, so its gradient is its transpose. */
const sumKernel = defineKernel({
  name: "OnnxSumPool",
  composed: ([x], a) => {
    const padded = padSpatial(x!, a.pads);
    return taps(a)
      .map((offset) => tapOf(padded, offset, a.outputShape.slice(2), a.strides))
      .reduce((p, q) => tf.add(p, q));
  },
  gradient: (dy, _x, _y, a) => [() => sumGradKernel([dy], a)],
});
const sumGradKernel = defineKernel({
  name: "OnnxSumPoolGrad",
  composed: ([dy], a) => {
    const rank = a.kernel.length;
    const whole = [
      ...a.inputShape.slice(0, 2),
      ...a.inputShape.slice(2).map((d, i) => d + a.pads[i]! + a.pads[rank + i]!),
    ];
    const total = taps(a)
      .map((offset) => scatter(dy!, offset, whole, a.strides))
      .reduce((p, q) => tf.add(p, q));
    return slice(total, [0, 0, ...a.pads.slice(0, rank)], a.inputShape);
  },
});

/** ONNX MaxPool on [N, C, spatial…]. */
export const maxPool = (x: tf.Tensor, a: PoolAttributes): tf.Tensor => maxKernel([x], a);
/** Window sums on [N, C, spatial…]. */
export const sumPool = (x: tf.Tensor, a: PoolAttributes): tf.Tensor => sumKernel([x], a);
/** Indices of the maxima of `maxPool`. */
export const maxPoolIndices = (x: tf.Tensor, a: PoolAttributes): tf.Tensor => maxIndicesKernel([x], a);
