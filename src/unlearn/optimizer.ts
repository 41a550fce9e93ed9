import * as tf from "@tensorflow/tfjs-core";

export type Weights = Readonly<Record<string, tf.Tensor>>;

/**
 * SGD as PyTorch defines it: g ← g + decay·θ; v ← momentum·v + g; θ ← θ − lr·v.
 * `velocity` has the weights' names; it is left empty where momentum is 0.
 */
export const sgd = (momentum: number, weightDecay: number) => ({
  hasVelocity: momentum !== 0,
  update(gradients: Weights, velocity: Weights, weights: Weights, lr: tf.Tensor) {
    const nextVelocity: Record<string, tf.Tensor> = {};
    const nextWeights: Record<string, tf.Tensor> = {};
    for (const [name, weight] of Object.entries(weights)) {
      let step = gradients[name]!;
      if (weightDecay !== 0) step = tf.add(step, tf.mul(weight, weightDecay));
      if (momentum !== 0) {
        step = tf.add(tf.mul(velocity[name]!, momentum), step);
        nextVelocity[name] = step;
      }
      nextWeights[name] = tf.sub(weight, tf.mul(step, lr));
    }
    return { weights: nextWeights, velocity: nextVelocity };
  },
});
