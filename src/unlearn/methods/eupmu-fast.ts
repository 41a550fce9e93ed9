import { tf } from "../../../converters/tf.ts";
import { logLoss } from "../objectives.ts";
import { chosenObjective, type MethodDefinition, startDual, stepTools } from "./method.ts";

/**
 * The authors' fast variant (METHOD section 3): no second forward pass. λ follows log L_r of this batch against that of the last batch that
 * had retained samples; the loss is L_f/(1+λ) + λ L_r/(1+λ), not logged; λ starts at 1.
 */
export const eupmuFast: MethodDefinition = {
  uses: { forget: true, retain: true },
  choosesObjective: true,
  objective: chosenObjective,
  dual: (options) => ({ ...startDual(options, 1), previous: 0, seen: 0 }),
  step: (context) => {
    const tools = stepTools(context, chosenObjective(context.options));
    return (carry, batch) => {
      const { dual, epsilon, hasRetain, backward, descend, moveDual, finish } = tools(carry, batch);
      const lambda = tf.relu(dual.lambda!);
      const total = tf.add(lambda, 1);
      const { sides, gradients } = backward(({ forget, retain }) =>
        tf.div(tf.add(forget, tf.mul(lambda, retain)), total),
      );
      const now = logLoss(sides.retain);
      const seen = dual.seen!;
      const previous = dual.previous!;
      const hasRise = tf.mul(hasRetain, seen);
      const rise = tf.mul(tf.sub(now, previous), hasRise);
      return finish(
        descend(gradients),
        sides,
        { lambda, rise, hasRise },
        {
          ...moveDual(tf.sub(rise, epsilon), hasRise),
          previous: tf.add(previous, tf.mul(hasRetain, tf.sub(now, previous))),
          seen: tf.maximum(seen, hasRetain),
        },
      );
    };
  },
};
