import { tf } from "../../../converters/tf.ts";
import { dualVariable, type MethodDefinition } from "./method.ts";

/**
 * The authors' fast variant of {@link eupmu} (docs/method.md, "Implicit gradient surgery"), without the
 * second forward pass: the rise is log L_r of this batch minus log L_r of the last batch that had retained
 * samples. The loss is L_f/(1+λ) + λ L_r/(1+λ), without logarithms, and λ starts at 1.
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
