import * as tf from "@tensorflow/tfjs-core";
import type { Tensors } from "../../converters/compile/step.ts";
import { boundedAscent, crossEntropy } from "./losses.ts";

/** What is minimised on the forget set. */
export interface ForgetObjective {
  /** float [N, C], int32 [N] → float [N]. */
  readonly perSample: (logits: tf.Tensor, labels: tf.Tensor) => tf.Tensor;
  /** Whether log(L + 1e-8) may be minimised in its place: only a loss that is ≥ 0 and whose 0 is not reached early. */
  readonly loggable: boolean;
  /** Whether the host redraws the forget labels uniformly over all classes each epoch. */
  readonly redrawsLabels: boolean;
}

export type ForgetObjectiveName = "random-label" | "bounded-ascent";

export const forgetObjectives: { readonly [O in ForgetObjectiveName]: ForgetObjective } = {
  "random-label": { perSample: crossEntropy, loggable: true, redrawsLabels: true },
  "bounded-ascent": { perSample: boundedAscent, loggable: true, redrawsLabels: false },
};

/** Sample counts of a mixed batch as float scalars; padded rows have both masks 0. */
export function counts(batch: Tensors) {
  const nForget = tf.sum(batch.forgetMask!);
  const nRetain = tf.sum(batch.retainMask!);
  const flag = (n: tf.Tensor) => tf.minimum(n, 1);
  return {
    nForget,
    nRetain,
    n: tf.maximum(tf.add(nForget, nRetain), 1),
    hasForget: flag(nForget),
    hasRetain: flag(nRetain),
  };
}

/** Σ over one side ÷ valid samples of the whole batch: the mean over its own samples × its share (METHOD section 3). 0 if it has none. */
export const sideLoss = (perSample: tf.Tensor, mask: tf.Tensor, n: tf.Tensor): tf.Scalar =>
  tf.div(tf.sum(tf.mul(perSample, mask)), n) as tf.Scalar;

/** log(L + 1e-8), as the authors log both losses. */
export const logLoss = (loss: tf.Tensor): tf.Scalar => tf.log(tf.add(loss, 1e-8)) as tf.Scalar;
