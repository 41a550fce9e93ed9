import { integerMatMul } from "../../kernels/arithmetic.ts";
import { determinant } from "../../kernels/determinant.ts";
import { expand } from "../../kernels/movement.ts";
import { tf } from "../../tf.ts";
import { along, facts, plain } from "../operator.ts";
import { dimsOf, type Inputs, toTensor, type Value } from "../value.ts";

/**
 * NumPy's matmul: 1-D operands get a temporary axis, batch axes broadcast. A batch times a single matrix is
 * computed as one product.
 */
export function matMul(a: tf.Tensor, b: tf.Tensor, transA = false, transB = false): tf.Tensor {
  if (a.rank === 1) {
    const y = matMul(tf.reshape(a, [1, a.size]), b, false, transB);
    const row = b.rank === 1 ? 0 : y.rank - 2;
    return tf.reshape(
      y,
      y.shape.filter((_, i) => i !== row),
    );
  }
  if (b.rank === 1) {
    const y = matMul(a, tf.reshape(b, [b.size, 1]), transA);
    return tf.reshape(y, y.shape.slice(0, -1));
  }
  if (a.dtype === "int32") return integerProduct(a, b);
  if (a.rank > 2 && b.rank === 2 && !transA) {
    const k = a.shape[a.rank - 1]!;
    const y = tf.matMul(tf.reshape(a, [a.size / k, k]) as tf.Tensor2D, b as tf.Tensor2D, false, transB);
    return tf.reshape(y, [...a.shape.slice(0, -1), y.shape[1]!]);
  }
  const [left, right] = sameBatch(a, b);
  return tf.matMul(left, right, transA, transB);
}

/** Broadcasts batch axes first: tfjs's gradient of a product does not sum over them. */
function sameBatch(a: tf.Tensor, b: tf.Tensor): [tf.Tensor, tf.Tensor] {
  const rank = Math.max(a.rank, b.rank);
  const lift = (t: tf.Tensor) =>
    t.rank < rank ? tf.reshape(t, [...Array(rank - t.rank).fill(1), ...t.shape]) : t;
  const [left, right] = [lift(a), lift(b)];
  const batch = left.shape.slice(0, -2).map((d, i) => Math.max(d, right.shape[i]!));
  return [
    expand(left, [...batch, ...left.shape.slice(-2)]),
    expand(right, [...batch, ...right.shape.slice(-2)]),
  ];
}
const integerProduct = (a: tf.Tensor, b: tf.Tensor): tf.Tensor => integerMatMul(...sameBatch(a, b));

export const MatMul = ([a, b]: Inputs): Value => matMul(toTensor(a!), toTensor(b!));
MatMul.facts = facts({
  // Samples mix if the batch is the axis that is summed over.
  mixes: ({ inputs: [a, b], axes: { inputs: batch } }) =>
    batch[0] === dimsOf(a!).length - 1 || batch[1] === Math.max(0, dimsOf(b!).length - 2),
});

/** alpha · A′ B′ + beta · C */
export function Gemm(
  [a, b, c]: Inputs,
  {
    alpha = 1,
    beta = 1,
    transA = 0,
    transB = 0,
  }: { alpha?: number; beta?: number; transA?: number; transB?: number },
): Value {
  const [left, right] = [toTensor(a!), toTensor(b!)] as [tf.Tensor2D, tf.Tensor2D];
  const [inner, other] = [left.shape[transA ? 0 : 1], right.shape[transB ? 1 : 0]];
  if (inner !== other)
    throw new Error(`A has ${inner} columns to multiply with the ${other} rows of B, which do not agree`);
  const product = tf.matMul(left, right, Boolean(transA), Boolean(transB));
  const y = alpha === 1 ? product : tf.mul(product, tf.scalar(alpha));
  if (c === undefined || beta === 0) return y;
  const bias = toTensor(c);
  return tf.add(y, beta === 1 ? bias : tf.mul(bias, tf.scalar(beta)));
}
Gemm.facts = facts({ ...plain, ignores: ({ beta }) => (beta === 0 ? [2] : []) });

/** The determinants of [batch…, n, n]. */
export const Det = ([x]: Inputs): Value => determinant(toTensor(x!));
Det.facts = facts({ mixes: along(() => [-2, -1]) });
