import { tf } from "../../../converters/tf.ts";
import { forgetObjective } from "../objectives.ts";
import { plainMethod } from "./method.ts";

/**
 * SalUn (Fan et al., ICLR 2024): random labels, but only the half of the weights with the largest forget gradient |∇L_f(θ₀)| moves.
 * The mask is a choice of its own: `saliency` puts it on any other method.
 */
export const salun = plainMethod({
  uses: { forget: true, retain: true },
  saliency: 0.5,
  objective: ({ loss = "cross-entropy" }) => forgetObjective("random-label", loss),
  total: ({ forget, retain }) => tf.add(forget, retain),
});
