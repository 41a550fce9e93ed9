import { tf } from "../../../converters/tf.ts";
import { logLoss } from "../objectives.ts";
import { chosenObjective, type MethodDefinition, maybeLogged, startDual, stepTools } from "./method.ts";

/**
 * Implicit gradient surgery (METHOD section 3): one backward pass of log L_f + max(λ, 0) log L_r, one SGD step, then λ follows the rise
 * log L_r(θ') − log L_r(θ) measured by a second forward pass on the same batch.
 */
export const eupmu: MethodDefinition = {
  uses: { forget: true, retain: true },
  choosesObjective: true,
  measuresRise: true,
  objective: chosenObjective,
  dual: (options) => startDual(options, 0),
  step: (context) => {
    const objective = chosenObjective(context.options);
    const tools = stepTools(context, objective);
    return (carry, batch) => {
      const { dual, epsilon, hasRetain, backward, descend, measureRise, moveDual, finish } = tools(
        carry,
        batch,
      );
      const lambda = tf.relu(dual.lambda!);
      const { sides, gradients } = backward(({ forget, retain }) =>
        tf.add(maybeLogged(objective, forget), tf.mul(lambda, logLoss(retain))),
      );
      const next = descend(gradients);
      const rise = measureRise(next.weights, sides);
      return finish(
        next,
        sides,
        { lambda, rise, hasRise: hasRetain },
        moveDual(tf.sub(rise, epsilon), hasRetain),
      );
    };
  },
};
