import { tf } from "../../../converters/tf.ts";
import { sumOver } from "../optimizer.ts";
import type { MethodDefinition } from "./method.ts";

/** ℓ1-sparse (Jia et al., NeurIPS 2023): fine-tuning on retained data with γ_t ‖θ‖₁, γ_t falling linearly. */
export const l1Sparse = {
  name: "l1-sparse",
  source: "https://arxiv.org/abs/2304.04934",
  uses: { forget: false, retain: true },
  settings: {
    l1: { value: 1e-4, minimum: 0, maximum: 1, what: "weight of ‖θ‖₁ at the start; it falls linearly to 0" },
  },
  objective: "utility",
  losses: [({ retain }) => retain],
  penalty: (weights, { setting, progress }) => {
    // |w| as w · sign(w), whose gradient at 0 is 0. That of tfjs's abs is −1 there, and would move weights
    // that are pruned.
    const norm = sumOver(weights, (w) => tf.mul(w, tf.sign(w)));
    return tf.mul(norm, tf.mul(tf.sub(1, progress), setting("l1")));
  },
} satisfies MethodDefinition;
