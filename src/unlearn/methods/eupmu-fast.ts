import { tf } from "../../../converters/tf.ts";
import { dualVariable, type MethodDefinition } from "./method.ts";

/**
 * The authors' fast variant of {@link eupmu} (docs/method.md, "Implicit gradient surgery"): no second forward
 * pass. λ follows log L_r of this batch against that of the last batch that had retained samples; the loss is
 * L_f/(1+λ) + λ L_r/(1+λ), not logged; λ starts at 1.
 */
export const eupmuFast = {
  name: "eupmu-fast",
  source: "https://arxiv.org/abs/2510.22124",
  uses: { forget: true, retain: true },
  losses: [
    ({ forget, retain }, { lambda }) => tf.div(tf.add(forget, tf.mul(lambda, retain)), tf.add(lambda, 1)),
  ],
  rise: "last-batch",
  dual: dualVariable(1),
} satisfies MethodDefinition;
