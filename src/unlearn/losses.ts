import { tf } from "../../converters/tf.ts";
import { logSoftmax } from "../tasks/classification.ts";

/**
 * KL(p ‖ q) in nats, per sample, with p the softmax of the teacher's logits divided by the temperature, and q
 * that of the student's. One logit counts as two classes.
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
