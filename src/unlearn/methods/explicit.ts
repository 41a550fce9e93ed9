import { logLoss } from "../objectives.ts";
import { explicitLambda } from "../surgery.ts";
import { chosenObjective, inner, type MethodDefinition, maybeLogged, plus, stepTools } from "./method.ts";

/**
 * Explicit (unilateral) gradient surgery (METHOD section 2): two backward passes, d = g_f + λ* g_r with λ* in closed form.
 * Both gradients are those of the logged losses, so ε means the same as for `eupmu`.
 */
export const explicit: MethodDefinition = {
  uses: { forget: true, retain: true },
  choosesObjective: true,
  gradients: 2,
  measuresRise: true,
  objective: chosenObjective,
  dual: () => ({}),
  step: (context) => {
    const objective = chosenObjective(context.options);
    const tools = stepTools(context, objective);
    return (carry, batch) => {
      const { lr, epsilon, hasRetain, backward, descend, measureRise, finish } = tools(carry, batch);
      const { sides, gradients: gf } = backward(({ forget }) => maybeLogged(objective, forget));
      const { gradients: gr } = backward(({ retain }) => logLoss(retain));
      const lambda = explicitLambda(inner(gf, gr), inner(gr, gr), epsilon, lr);
      const next = descend(plus(gf, gr, lambda));
      const rise = measureRise(next.weights, sides);
      return finish(next, sides, { lambda, rise, hasRise: hasRetain });
    };
  },
};
