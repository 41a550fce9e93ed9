import { softmax } from "../../converters/kernels/reduction.ts";
import { tf } from "../../converters/tf.ts";

/** Log-probabilities of logits [N, C]: one operator where tfjs's own is made of six. */
const logSoftmax = (logits: tf.Tensor): tf.Tensor => softmax(logits, 1, true);

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
  return tf.neg(tf.sum(tf.mul(logSoftmax(logits), oneHot(labels, classes)), 1));
}

/**
 * Multi-label: mean over the labels of softplus(z) − y z in nats, per sample.
 * @param logits float [N, C]
 * @param targets float [N, C], each 0 or 1
 * @returns float [N]
 */
export const binaryCrossEntropy = (logits: tf.Tensor, targets: tf.Tensor): tf.Tensor1D =>
  tf.mean(tf.sub(tf.softplus(logits), tf.mul(logits, targets)), 1);

/**
 * Regression: mean over the outputs of (z − y)², per sample.
 * @param outputs float [N, C]
 * @param targets float [N, C]
 * @returns float [N]
 */
export const meanSquaredError = (outputs: tf.Tensor, targets: tf.Tensor): tf.Tensor1D =>
  tf.mean(tf.square(tf.sub(outputs, targets)), 1);

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
  const others = tf.sub(tf.mul(logSoftmax(logits), tf.sub(1, label)), tf.mul(label, 1e9));
  return tf.neg(tf.logSumExp(others, 1));
}

/** Bounded ascent of every label of a multi-label sample: mean of softplus((2y − 1) z). float [N, C], float [N, C] → float [N]. */
export const boundedAscentOfEach = (logits: tf.Tensor, targets: tf.Tensor): tf.Tensor1D =>
  tf.mean(tf.softplus(tf.mul(logits, tf.sub(tf.mul(targets, 2), 1))), 1);

/**
 * KL(u ‖ p) of the uniform distribution against the model's, in nats, per sample: −log C − (1/C) Σ log p_c. Its 0 can be reached.
 * One logit counts as two classes.
 * @param logits float [N, C]
 * @returns float [N]
 */
export function uniformKl(logits: tf.Tensor): tf.Tensor1D {
  const classes = logits.shape[1]!;
  if (classes === 1) return uniformKlOfEach(logits);
  return tf.sub(tf.neg(tf.mean(logSoftmax(logits), 1)), Math.log(classes));
}

/** `uniformKl` of every label of a multi-label sample, averaged: mean of softplus(z) − z/2 − log 2. float [N, C] → float [N]. */
export const uniformKlOfEach = (logits: tf.Tensor): tf.Tensor1D =>
  tf.sub(tf.mean(tf.sub(tf.softplus(logits), tf.mul(logits, 0.5)), 1), Math.LN2);

/**
 * KL(p ‖ q) between the distributions of two sets of logits at a temperature, in nats, per sample; p is the teacher.
 * One logit counts as two classes.
 * @param teacher float [N, C]
 * @param student float [N, C]
 * @returns float [N]
 */
export function distillation(teacher: tf.Tensor, student: tf.Tensor, temperature: number): tf.Tensor1D {
  const logProbabilities = (logits: tf.Tensor) => {
    const two = logits.shape[1] === 1 ? tf.concat([tf.zerosLike(logits), logits], 1) : logits;
    return logSoftmax(tf.div(two, temperature));
  };
  const p = logProbabilities(teacher);
  return tf.sum(tf.mul(tf.exp(p), tf.sub(p, logProbabilities(student))), 1);
}
