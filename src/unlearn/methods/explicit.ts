import { logLoss } from "../objectives.ts";
import { explicitLambda } from "../surgery.ts";
import { inner, type MethodDefinition, maybeLogged, plus } from "./method.ts";

/**
 * Explicit (unilateral) gradient surgery (Zhou et al., NeurIPS 2025; docs/method.md, "Explicit gradient
 * surgery"): two backward passes, then d = g_f + λ* g_r with λ* in closed form. Both are gradients of the
 * losses' logarithms, so ε has the same unit as for `eupmu`.
 */
export const explicit = {
  name: "explicit",
  source: "https://arxiv.org/abs/2510.22124",
  uses: { forget: true, retain: true },
  losses: [({ forget }, { objective }) => maybeLogged(objective, forget), ({ retain }) => logLoss(retain)],
  combine: ([forget, retain], { epsilon, lr }) => {
    const lambda = explicitLambda(inner(forget, retain!), inner(retain!, retain!), epsilon, lr);
    return { gradient: plus(forget, retain!, lambda), lambda };
  },
  rise: "second-forward",
} satisfies MethodDefinition;
