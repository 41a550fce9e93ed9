import { tf } from "../../../converters/tf.ts";
import { logLoss } from "../objectives.ts";
import { dualVariable, type MethodDefinition, maybeLogged } from "./method.ts";

/**
 * Implicit gradient surgery (Zhou et al., NeurIPS 2025; docs/method.md, "Implicit gradient surgery"): one
 * backward pass of log L_f + max(λ, 0) log L_r and one optimizer step. A second forward pass on the same
 * batch then measures the rise log L_r(θ') − log L_r(θ), which updates λ.
 */
export const eupmu = {
  name: "eupmu",
  source: "https://arxiv.org/abs/2510.22124",
  uses: { forget: true, retain: true },
  losses: [
    ({ forget, retain }, { objective, lambda }) =>
      tf.add(maybeLogged(objective, forget), tf.mul(lambda, logLoss(retain))),
  ],
  rise: "second-forward",
  dual: dualVariable(0),
} satisfies MethodDefinition;
