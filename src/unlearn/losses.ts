import * as tf from "@tensorflow/tfjs-core";

/** int32 labels [N] → float one-hot [N, classes]. */
export function oneHot(labels: tf.Tensor, classes: number): tf.Tensor2D {
  const range = tf.tensor2d(
    Int32Array.from({ length: classes }, (_, i) => i),
    [1, classes],
    "int32",
  );
  return tf.cast(tf.equal(tf.reshape(labels, [-1, 1]), range), "float32") as tf.Tensor2D;
}

/**
 * Cross-entropy −log p_y in nats, per sample. One logit: binary cross-entropy softplus(z) − y z.
 * @param logits float [N, C]
 * @param labels int32 [N], in 0…C−1 (0 or 1 where C = 1)
 * @returns float [N]
 */
export function crossEntropy(logits: tf.Tensor, labels: tf.Tensor): tf.Tensor1D {
  const [n, classes] = logits.shape as [number, number];
  if (classes === 1) {
    const z = tf.reshape(logits, [n]);
    return tf.sub(tf.softplus(z), tf.mul(z, tf.cast(labels, "float32")));
  }
  return tf.neg(tf.sum(tf.mul(tf.logSoftmax(logits, 1), oneHot(labels, classes)), 1));
}

/**
 * Bounded ascent −log(1 − p_y) ≥ 0 in nats, per sample: falls to 0 as the label's probability goes (METHOD section 3).
 * 1 − p_y is the sum over the other classes, taken in log space, so it is exact where p_y ≈ 1.
 * @param logits float [N, C]
 * @param labels int32 [N]
 * @returns float [N]
 */
export function boundedAscent(logits: tf.Tensor, labels: tf.Tensor): tf.Tensor1D {
  const [n, classes] = logits.shape as [number, number];
  if (classes === 1) {
    const sign = tf.sub(tf.mul(tf.cast(labels, "float32"), 2), 1);
    return tf.softplus(tf.mul(tf.reshape(logits, [n]), sign)) as tf.Tensor1D;
  }
  const label = oneHot(labels, classes);
  const others = tf.sub(tf.mul(tf.logSoftmax(logits, 1), tf.sub(1, label)), tf.mul(label, 1e9));
  return tf.neg(tf.logSumExp(others, 1));
}
