import { tf } from "../../../converters/tf.ts";
import { chosenObjective, inner, type MethodDefinition, plus, stepTools } from "./method.ts";

/** The factor that takes the conflicting part of `a` along `b` out of `a`: −⟨a, b⟩/‖b‖² where ⟨a, b⟩ < 0, else 0. */
const removal = (dot: tf.Tensor, normSquared: tf.Tensor): tf.Tensor => {
  const nonzero = tf.cast(tf.greater(normSquared, 0), "float32");
  return tf.mul(tf.div(tf.relu(tf.neg(dot)), tf.add(normSquared, tf.sub(1, nonzero))), nonzero);
};

/**
 * PCGrad (Yu et al., NeurIPS 2020) on the two tasks "forget" and "retain": each gradient loses its component against the other, both are
 * added. Symmetric, where the surgery of METHOD section 2 changes the forget gradient only. Two backward passes.
 */
export const pcgrad: MethodDefinition = {
  uses: { forget: true, retain: true },
  choosesObjective: true,
  gradients: 2,
  objective: chosenObjective,
  dual: () => ({}),
  step: (context) => {
    const tools = stepTools(context, chosenObjective(context.options));
    return (carry, batch) => {
      const { backward, descend, finish } = tools(carry, batch);
      const { sides, gradients: gf } = backward(({ forget }) => forget);
      const { gradients: gr } = backward(({ retain }) => retain);
      const dot = inner(gf, gr);
      const forget = plus(gf, gr, removal(dot, inner(gr, gr)));
      const retain = plus(gr, gf, removal(dot, inner(gf, gf)));
      return finish(descend(plus(forget, retain, tf.scalar(1))), sides);
    };
  },
};
