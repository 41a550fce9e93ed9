import { tf } from "../../../converters/tf.ts";
import { inner, type MethodDefinition, plus } from "./method.ts";

/** What takes the conflicting part of `a` along `b` out of `a`: −⟨a, b⟩/‖b‖² where ⟨a, b⟩ < 0, else 0. */
const removal = (dot: tf.Tensor, normSquared: tf.Tensor): tf.Tensor => {
  const nonzero = tf.cast(tf.greater(normSquared, 0), "float32");
  return tf.mul(tf.div(tf.relu(tf.neg(dot)), tf.add(normSquared, tf.sub(1, nonzero))), nonzero);
};

/**
 * PCGrad (Yu et al., NeurIPS 2020) on the two tasks "forget" and "retain": each gradient loses its component
 * against the other, both are added. Symmetric, where explicit gradient surgery changes the forget gradient
 * only. Two backward passes.
 */
export const pcgrad = {
  name: "pcgrad",
  source: "https://arxiv.org/abs/2001.06782",
  uses: { forget: true, retain: true },
  losses: [({ forget }) => forget, ({ retain }) => retain],
  combine: ([gf, gr]) => {
    const dot = inner(gf, gr!);
    const forget = plus(gf, gr!, removal(dot, inner(gr!, gr!)));
    const retain = plus(gr!, gf, removal(dot, inner(gf, gf)));
    return { gradient: plus(forget, retain, tf.scalar(1)) };
  },
} satisfies MethodDefinition;
