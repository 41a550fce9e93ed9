import { tf } from "../../../converters/tf.ts";
import { ownTargets } from "../objectives.ts";
import { plainMethod, type Setting } from "./method.ts";

const settings = {
  l1: { value: 1e-4, minimum: 0, maximum: 1, what: "weight of ‖θ‖₁ at the start; it falls linearly to 0" },
} satisfies Record<string, Setting>;

/** ℓ1-sparse (Jia et al., NeurIPS 2023): fine-tuning on retained data with γ_t ‖θ‖₁, γ_t falling linearly to 0. */
export const l1Sparse = plainMethod({
  uses: { forget: false, retain: true },
  settings,
  objective: ({ loss = "cross-entropy" }) => ownTargets(loss),
  total: ({ retain, weights }, { setting, progress, share }) => {
    // |w| as w · sign(w): the gradient at 0 is 0, where that of tfjs's abs is −1 and would wake what is pruned.
    const norm = Object.values(weights)
      .map((w): tf.Tensor => tf.sum(tf.mul(w, tf.sign(w))))
      .reduce((sum, term) => tf.add(sum, term));
    return tf.add(retain, tf.mul(norm, tf.mul(tf.sub(1, progress), share * setting("l1"))));
  },
});
