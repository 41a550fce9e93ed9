import { elementCount } from "../dims.ts";
import { tf } from "../tf.ts";
import { defineKernel } from "./custom.ts";

/** Gaussian elimination with row pivots, in float64. */
function eliminate(matrix: Float64Array, n: number): number {
  let value = 1;
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let row = column + 1; row < n; row++)
      if (Math.abs(matrix[row * n + column]!) > Math.abs(matrix[pivot * n + column]!)) pivot = row;
    const largest = matrix[pivot * n + column]!;
    if (largest === 0) return 0;
    if (pivot !== column) {
      value = -value;
      for (let k = 0; k < n; k++) {
        const above = matrix[column * n + k]!;
        matrix[column * n + k] = matrix[pivot * n + k]!;
        matrix[pivot * n + k] = above;
      }
    }
    value *= largest;
    for (let row = column + 1; row < n; row++) {
      const factor = matrix[row * n + column]! / largest;
      for (let k = column; k < n; k++) matrix[row * n + k]! -= factor * matrix[column * n + k]!;
    }
  }
  return value;
}

const kernel = defineKernel({
  name: "OnnxDet",
  composed: ([x]) => {
    const n = x!.shape[x!.rank - 1]!;
    const batch = x!.shape.slice(0, -2);
    const data = x!.dataSync();
    const count = elementCount(batch);
    const values = Float32Array.from({ length: count }, (_, i) =>
      eliminate(Float64Array.from(data.subarray(i * n * n, (i + 1) * n * n)), n),
    );
    return tf.tensor(values, batch, "float32");
  },
  gradient: (dy, [x]) => [() => tf.mul(tf.reshape(dy, [...x!.shape.slice(0, -2), 1, 1]), cofactors(x!))],
});
export const determinant = (x: tf.Tensor): tf.Tensor => kernel([x], {});

/** ∂ det X / ∂ X: (−1)^(i+j) times the determinant without row i and column j, singular matrices included. */
function cofactors(x: tf.Tensor): tf.Tensor {
  const n = x.shape[x.rank - 1]!;
  if (n === 1) return tf.onesLike(x);
  const batch = x.shape.slice(0, -2);
  const count = elementCount(batch);
  const others = Array.from({ length: n }, (_, i) => [...Array(n).keys()].filter((k) => k !== i));
  const places = others.flatMap((rows) =>
    others.flatMap((columns) => rows.flatMap((row) => columns.map((column) => row * n + column))),
  );
  const flat = tf.reshape(x, [count, n * n]);
  const minors = tf.reshape(tf.gather(flat, tf.tensor1d(places, "int32"), 1), [count * n * n, n - 1, n - 1]);
  const signs = tf.tensor2d(
    Float32Array.from({ length: n * n }, (_, k) => ((Math.floor(k / n) + (k % n)) % 2 ? -1 : 1)),
    [n, n],
  );
  return tf.mul(tf.reshape(kernel([minors], {}), [...batch, n, n]), signs);
}
