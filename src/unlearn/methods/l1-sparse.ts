import { tf } from "../../../converters/tf.ts";
import type { MethodDefinition, Setting } from "./method.ts";

const settings = {
  l1: { value: 1e-4, minimum: 0, maximum: 1, what: "weight of ‖θ‖₁ at the start; it falls linearly to 0" },
} satisfies Record<string, Setting>;

/** ℓ1-sparse (Jia et al., NeurIPS 2023): fine-tuning on retained data with γ_t ‖θ‖₁, γ_t falling linearly. */
export const l1Sparse = {
  name: "l1-sparse",
  source: "https://arxiv.org/abs/2304.04934",
  uses: { forget: false, retain: true },
  settings,
  objective: "utility",
  losses: [({ retain }) => retain],
  penalty: (weights, { setting, progress }) => {
    // |w| as w · sign(w): the gradient at 0 is 0, where that of tfjs's abs is −1 and would move pruned
    // weights again.
    const norm = Object.values(weights)
      .map((w): tf.Tensor => tf.sum(tf.mul(w, tf.sign(w))))
      .reduce((sum, term) => tf.add(sum, term));
    return tf.mul(norm, tf.mul(tf.sub(1, progress), setting("l1")));
  },
} satisfies MethodDefinition;
