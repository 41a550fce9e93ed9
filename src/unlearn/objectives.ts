import type { Tensors } from "../../converters/compile/step.ts";
import { badInput } from "../../converters/errors.ts";
import { tf } from "../../converters/tf.ts";
import { taskOf } from "../tasks/index.ts";
import type { ForgetObjectiveName, LossName } from "../tasks/names.ts";
import type { ForgetObjective } from "../tasks/task.ts";

export type { ForgetObjective };

/**
 * @throws badInput OBJECTIVE_LOSS where an objective means nothing for a loss (a regression has no other
 *   class)
 */
export function forgetObjective(name: ForgetObjectiveName, loss: LossName): ForgetObjective {
  const chosen = taskOf(loss).objectives[name];
  if (!chosen)
    throw badInput(
      "OBJECTIVE_LOSS",
      `the forget objective ${name} is not defined for the loss ${loss}; choose random-label.`,
    );
  return chosen;
}

/** The utility loss on the samples' own truth, as an objective of methods that do not redraw it. */
export const ownTargets = (loss: LossName): ForgetObjective => ({
  perSample: taskOf(loss).loss,
  loggable: true,
});

/**
 * Sample counts of a mixed batch as float scalars; padded rows have both masks 0. A part of a batch is told
 * those of the whole.
 */
export function counts(batch: Tensors) {
  const nForget = batch.nForget ?? tf.sum(batch.forgetMask!);
  const nRetain = batch.nRetain ?? tf.sum(batch.retainMask!);
  const flag = (n: tf.Tensor) => tf.minimum(n, 1);
  return {
    nForget,
    nRetain,
    n: tf.maximum(tf.add(nForget, nRetain), 1),
    hasForget: flag(nForget),
    hasRetain: flag(nRetain),
  };
}

/**
 * Σ over one side ÷ valid samples of the whole batch: the mean over its own samples × its share
 * (docs/method.md, "Batches and gradient accumulation"). 0 if it has none.
 */
export const sideLoss = (perSample: tf.Tensor, mask: tf.Tensor, n: tf.Tensor): tf.Scalar =>
  tf.div(tf.sum(tf.mul(perSample, mask)), n) as tf.Scalar;

/** log(L + 1e-8), as the authors log both losses. */
export const logLoss = (loss: tf.Tensor): tf.Scalar => tf.log(tf.add(loss, 1e-8)) as tf.Scalar;
