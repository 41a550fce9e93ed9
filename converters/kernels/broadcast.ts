import { elementCount } from "../dims.ts";
import { tf } from "../tf.ts";

/** NumPy broadcasting of two shapes. */
export function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1];
    if (x !== y && x !== 1 && y !== 1) throw new Error(`shapes [${a}] and [${b}] do not broadcast`);
    return x === 1 ? y : x;
  });
}

interface Operand {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}
/** f of every broadcast pair, row-major, in float64. */
export function mapPairs(a: Operand, b: Operand, f: (x: number, y: number) => number): Float64Array {
  const shape = broadcastShape(a.shape, b.shape);
  const out = new Float64Array(elementCount(shape));
  const stridesOf = ({ shape: own }: Operand) => {
    const strides = shape.map(() => 0);
    let stride = 1;
    for (let d = own.length - 1; d >= 0; d--) {
      if (own[d] !== 1) strides[d + shape.length - own.length] = stride;
      stride *= own[d]!;
    }
    return strides;
  };
  const [strideA, strideB] = [stridesOf(a), stridesOf(b)];
  const at = shape.map(() => 0);
  let [ia, ib] = [0, 0];
  for (let i = 0; i < out.length; i++) {
    out[i] = f(a.data[ia]!, b.data[ib]!);
    for (let d = shape.length - 1; d >= 0; d--) {
      ia += strideA[d]!;
      ib += strideB[d]!;
      if (++at[d]! < shape[d]!) break;
      ia -= strideA[d]! * shape[d]!;
      ib -= strideB[d]! * shape[d]!;
      at[d] = 0;
    }
  }
  return out;
}

/** The gradient of broadcasting: sums x over the axes along which `shape` was broadcast. */
export function sumTo(x: tf.Tensor, shape: readonly number[]): tf.Tensor {
  const lead = x.rank - shape.length;
  const axes = x.shape
    .map((_, i) => i)
    .filter((i) => i < lead || (shape[i - lead] === 1 && x.shape[i] !== 1));
  return tf.reshape(axes.length ? tf.sum(x, axes) : x, [...shape]);
}
