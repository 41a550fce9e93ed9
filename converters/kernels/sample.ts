import { elementCount } from "../dims.ts";
import { tf } from "../tf.ts";
import { gather } from "./movement.ts";

export type Padding = "zeros" | "border" | "reflection";
export interface SampleOptions {
  readonly interpolation: "nearest" | "linear" | "cubic";
  readonly padding: Padding;
  readonly alignCorners: boolean;
}

interface Tap {
  /** Index along the axis as a whole float32 number, inside the tensor. */
  readonly place: tf.Tensor;
  readonly weight: tf.Tensor | undefined;
}

/** Parameter of Keys' kernel, which ONNX fixes for GridSample. */
const CUBIC = -0.75;

/** Keys' kernel for a distance d in [0,1] and in [1,2]. */
const polynomial = (d: tf.Tensor, coefficients: readonly number[]) =>
  coefficients
    .slice(1)
    .reduce<tf.Tensor>(
      (sum, c) => tf.add(tf.mul(sum, d), tf.scalar(c)),
      tf.mul(tf.onesLike(d), tf.scalar(coefficients[0]!)),
    );
const near = (d: tf.Tensor) => polynomial(d, [CUBIC + 2, -(CUBIC + 3), 0, 1]);
const far = (d: tf.Tensor) => polynomial(d, [CUBIC, -5 * CUBIC, 8 * CUBIC, -4 * CUBIC]);

/**
 * Maps indices into [0, length − 1] as the padding mode says; for "zeros" the caller sets the weight to 0.
 */
function inside(place: tf.Tensor, length: number, { padding, alignCorners }: SampleOptions): tf.Tensor {
  let p = place;
  if (padding === "reflection") {
    const low = alignCorners ? 0 : -0.5;
    const range = alignCorners ? length - 1 : length;
    if (range === 0) return tf.zerosLike(place);
    const distance = tf.abs(tf.sub(place, tf.scalar(low)));
    const rounds = tf.floor(tf.div(distance, tf.scalar(2 * range)));
    const rest = tf.sub(distance, tf.mul(rounds, tf.scalar(2 * range)));
    p = tf.add(tf.minimum(rest, tf.sub(tf.scalar(2 * range), rest)), tf.scalar(low));
  }
  return tf.minimum(tf.maximum(p, tf.scalar(0)), tf.scalar(length - 1));
}

function tapsAlong(x: tf.Tensor, length: number, options: SampleOptions): Tap[] {
  const tap = (place: tf.Tensor, weight: tf.Tensor | undefined): Tap => {
    if (options.padding !== "zeros") return { place: inside(place, length, options), weight };
    const held = tf.logicalAnd(
      tf.greaterEqual(place, tf.scalar(0)),
      tf.lessEqual(place, tf.scalar(length - 1)),
    );
    const mask = tf.cast(held, "float32");
    return { place: inside(place, length, options), weight: weight ? tf.mul(weight, mask) : mask };
  };
  if (options.interpolation === "nearest") return [tap(tf.round(x), undefined)];
  const floor = tf.floor(x);
  const t = tf.sub(x, floor);
  const at = (k: number) => tf.add(floor, tf.scalar(k));
  const one = tf.scalar(1);
  if (options.interpolation === "linear") return [tap(floor, tf.sub(one, t)), tap(at(1), t)];
  const back = tf.sub(one, t);
  return [
    tap(at(-1), far(tf.add(t, one))),
    tap(floor, near(t)),
    tap(at(1), near(back)),
    tap(at(2), far(tf.add(back, one))),
  ];
}

/**
 * x [N, C, D1…Dr] interpolated at real coordinates, one tensor [N, L] per spatial axis → [N, C, L].
 * Differentiable in x and in the coordinates.
 */
export function sample(x: tf.Tensor, coordinates: readonly tf.Tensor[], options: SampleOptions): tf.Tensor {
  const [n, c, ...spatial] = x.shape as [number, number, ...number[]];
  const count = coordinates[0]!.shape[1]!;
  const size = elementCount(spatial);
  // All combinations of the axes' taps: flat indices add up, weights multiply.
  let all: { place: tf.Tensor; weight: tf.Tensor | undefined }[] = [
    { place: tf.scalar(0), weight: undefined },
  ];
  spatial.forEach((length, axis) => {
    const stride = elementCount(spatial.slice(axis + 1));
    const own = tapsAlong(coordinates[axis]!, length, options);
    all = all.flatMap((left) =>
      own.map(({ place, weight }) => ({
        place: tf.add(left.place, tf.mul(place, tf.scalar(stride))),
        weight: left.weight && weight ? tf.mul(left.weight, weight) : (left.weight ?? weight),
      })),
    );
  });
  const image = tf.tensor2d(
    Int32Array.from({ length: n }, (_, i) => i * size),
    [n, 1],
    "int32",
  );
  const places = tf.concat(
    all.map(({ place }) => tf.reshape(tf.add(tf.cast(place, "int32"), image), [1, n * count])),
    0,
  );
  const rows = tf.reshape(tf.transpose(tf.reshape(x, [n, c, size]), [0, 2, 1]), [n * size, c]);
  const values = tf.reshape(gather(rows, tf.reshape(places, [-1]), 0), [all.length, n * count, c]);
  const weights = all.map(({ weight }) => weight && tf.reshape(weight, [1, n * count, 1]));
  const weighed = weights.every((weight) => weight !== undefined)
    ? tf.sum(tf.mul(values, tf.concat(weights, 0)), 0)
    : tf.reshape(values, [n * count, c]);
  return tf.transpose(tf.reshape(weighed, [n, count, c]), [0, 2, 1]);
}
