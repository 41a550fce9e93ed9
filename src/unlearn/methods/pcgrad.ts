import { tf } from "../../../converters/tf.ts";
import { projection } from "../surgery.ts";
import { inner, type MethodDefinition, plus } from "./method.ts";

/** −⟨a, b⟩/‖b‖² where ⟨a, b⟩ < 0, else 0: the multiple of b that removes from a its component against b. */
const removal = (dot: tf.Tensor, normSquared: tf.Tensor) => projection(tf.neg(dot), normSquared);

/**
 * PCGrad (Yu et al., NeurIPS 2020) on the two tasks "forget" and "retain": where the gradients conflict, each
 * loses its component against the other; then they are added. It is symmetric, whereas explicit gradient
 * surgery changes the forget gradient only. Two backward passes.
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
