import type { Tensors } from "../../converters/compile/step.ts";
import { badInput } from "../../converters/errors.ts";
import { tf } from "../../converters/tf.ts";
import type { LossName } from "../tasks/index.ts";
import { taskOf } from "../tasks/index.ts";
import type { ForgetObjective, ForgetObjectiveName } from "../tasks/task.ts";

/** @throws badInput OBJECTIVE_LOSS where the objective is not defined for the loss */
export function forgetObjective(name: ForgetObjectiveName, loss: LossName): ForgetObjective {
  const chosen = taskOf(loss).objectives[name];
  if (!chosen)
    throw badInput(
      "OBJECTIVE_LOSS",
      `the forget objective ${name} is not defined for the loss ${loss}; choose random-label.`,
    );
  return chosen;
}

/** The utility loss on the samples' own truth, as a forget objective. */
export const ownTargets = (loss: LossName): ForgetObjective => ({
  perSample: taskOf(loss).loss,
  loggable: true,
});

/**
 * Numbers of samples of a mixed batch as float scalars; padded rows count on neither side, as both their
 * masks are 0. A part of a batch holds the counts of the whole batch as `nForget` and `nRetain`.
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
 * Sum over the samples of one side, divided by the n samples of the whole batch (docs/method.md, "Batches and
 * gradient accumulation"); 0 if the side has none.
 */
export const sideLoss = (perSample: tf.Tensor, mask: tf.Tensor, n: tf.Tensor): tf.Scalar =>
  tf.div(tf.sum(tf.mul(perSample, mask)), n) as tf.Scalar;

/** log(L + 1e-8), as in the authors' code. */
export const logLoss = (loss: tf.Tensor): tf.Scalar => tf.log(tf.add(loss, 1e-8)) as tf.Scalar;
