import { gather } from "../../kernels/movement.ts";
import { tf } from "../../tf.ts";
import { alongAxesAfter, facts } from "../operator.ts";
import { type Inputs, type OperatorContext, toTensor, type Value } from "../value.ts";
import { LogSoftmax_13 } from "./activation.ts";
import { GatherElements } from "./indexing.ts";

interface LossAttributes {
  readonly ignore_index?: number;
  readonly reduction?: string;
}

/**
 * −weight[target] · input[n, target, d…]; "mean" divides by the sum of the weights; ignored targets have
 * weight 0.
 */
function negativeLogLikelihood(
  [input, target, weight]: Inputs,
  { ignore_index, reduction = "mean" }: LossAttributes,
): tf.Tensor {
  const labels = tf.cast(toTensor(target!), "int32");
  const kept =
    ignore_index === undefined
      ? tf.onesLike(labels)
      : tf.cast(tf.notEqual(labels, tf.scalar(ignore_index, "int32")), "int32");
  const safe = tf.mul(labels, kept);
  const column = tf.expandDims(safe, 1);
  const picked = tf.squeeze(GatherElements([input, column], { axis: 1 }) as tf.Tensor, [1]);
  const scale = tf.cast(kept, "float32");
  const weights = weight ? tf.mul(gather(toTensor(weight), safe, 0), scale) : scale;
  const losses = tf.neg(tf.mul(picked, weights));
  if (reduction === "none") return losses;
  const total = tf.sum(losses);
  return reduction === "sum" ? total : tf.div(total, tf.sum(weights));
}

export const NegativeLogLikelihoodLoss = (
  [input, target, weight]: Inputs,
  attributes: LossAttributes,
): Value => negativeLogLikelihood([toTensor(input!), target, weight], attributes);
NegativeLogLikelihoodLoss.facts = facts({ mixes: alongAxesAfter(0) });

export function SoftmaxCrossEntropyLoss(
  [scores, labels, weights]: Inputs,
  attributes: LossAttributes,
  { node }: OperatorContext,
): Value | Value[] {
  const logProbabilities = LogSoftmax_13([toTensor(scores!)], { axis: 1 });
  const loss = negativeLogLikelihood([logProbabilities, labels, weights], attributes);
  return node.outputs[1] ? [loss, logProbabilities] : loss;
}
SoftmaxCrossEntropyLoss.facts = facts({ mixes: alongAxesAfter(0) });
