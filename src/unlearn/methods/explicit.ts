import * as tf from "@tensorflow/tfjs-core";
import { logLoss } from "../objectives.ts";
import { explicitLambda } from "../surgery.ts";
import { chosenObjective, type MethodDefinition, maybeLogged, stepTools } from "./method.ts";

/**
 * Explicit (unilateral) gradient surgery (METHOD section 2): two backward passes, d = g_f + λ* g_r with λ* in closed form.
 * Both gradients are those of the logged losses, so ε means the same as for `eupmu`.
 */
export const explicit: MethodDefinition = {
  uses: { forget: true, retain: true },
  objective: chosenObjective,
  dual: () => ({}),
  step: (context) => {
    const objective = chosenObjective(context.options);
    const tools = stepTools(context, objective);
    const { trainable } = context;
    return (carry, batch) => {
      const { lr, epsilon, hasRetain, backward, descend, measureRise, finish } = tools(carry, batch);
      const { sides, gradients: gf } = backward(({ forget }) => maybeLogged(objective, forget));
      const { gradients: gr } = backward(({ retain }) => logLoss(retain));
      const inner = (a: typeof gf, b: typeof gf) =>
        trainable
          .map((name): tf.Tensor => tf.sum(tf.mul(a[name]!, b[name]!)))
          .reduce((sum, term) => tf.add(sum, term));
      const lambda = explicitLambda(inner(gf, gr), inner(gr, gr), epsilon, lr);
      const next = descend(
        Object.fromEntries(trainable.map((name) => [name, tf.add(gf[name]!, tf.mul(gr[name]!, lambda))])),
      );
      const rise = measureRise(next.weights, sides);
      return finish(next, sides, { lambda, rise, hasRise: hasRetain });
    };
  },
};
