import { tf } from "../tf.ts";
import { defineKernel } from "./custom.ts";

/** Gauss–Jordan elimination with row pivots, in float64; a singular matrix gives infinities and NaN. */
function invert(source: ArrayLike<number>, n: number): Float64Array {
  const wide = 2 * n;
  const rows = Float64Array.from({ length: n * wide }, (_, i) => {
    const [row, column] = [Math.floor(i / wide), i % wide];
    return column < n ? source[row * n + column]! : Number(column - n === row);
  });
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let row = column + 1; row < n; row++)
      if (Math.abs(rows[row * wide + column]!) > Math.abs(rows[pivot * wide + column]!)) pivot = row;
    const taken = rows.slice(pivot * wide, (pivot + 1) * wide);
    rows.copyWithin(pivot * wide, column * wide, (column + 1) * wide);
    const scale = 1 / taken[column]!;
    for (let k = 0; k < wide; k++) rows[column * wide + k] = taken[k]! * scale;
    for (let row = 0; row < n; row++) {
      if (row === column) continue;
      const factor = rows[row * wide + column]!;
      for (let k = 0; k < wide; k++) rows[row * wide + k]! -= factor * rows[column * wide + k]!;
    }
  }
  return Float64Array.from({ length: n * n }, (_, i) => rows[Math.floor(i / n) * wide + n + (i % n)]!);
}

const kernel = defineKernel({
  name: "OnnxInverse",
  composed: ([x]) => {
    const n = x!.shape[x!.rank - 1]!;
    const data = x!.dataSync();
    const out = new Float32Array(x!.size);
    for (let i = 0; i < out.length; i += n * n) out.set(invert(data.subarray(i, i + n * n), n), i);
    return tf.tensor(out, x!.shape, "float32");
  },
  // Y = X⁻¹: dX = −Yᵀ dY Yᵀ
  gradient: (dy, _x, y) => [() => tf.neg(tf.matMul(tf.matMul(y, dy, true, false), y, false, true))],
});
/** The inverse of every matrix in the last two axes. */
export const inverse = (x: tf.Tensor): tf.Tensor => kernel([x], {});
