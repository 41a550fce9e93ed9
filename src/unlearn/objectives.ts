import type { Tensors } from "../../converters/compile/step.ts";
import { badInput } from "../../converters/errors.ts";
import { tf } from "../../converters/tf.ts";
import {
  binaryCrossEntropy,
  boundedAscent,
  boundedAscentOfEach,
  crossEntropy,
  meanSquaredError,
  uniformKl,
  uniformKlOfEach,
} from "./losses.ts";
import type { ForgetObjectiveName, LossName } from "./names.ts";

/** float [N, C], targets (int32 [N] for classes, float [N, C] otherwise) → float [N]. */
type PerSample = (logits: tf.Tensor, targets: tf.Tensor) => tf.Tensor;

export interface Loss {
  readonly perSample: PerSample;
  /** `class`: one integer per sample; `vector`: C floats per sample. */
  readonly targets: "class" | "vector";
}

/** The utility loss; the forget objectives are built on the same one. */
export const losses: { readonly [L in LossName]: Loss } = {
  "cross-entropy": { perSample: crossEntropy, targets: "class" },
  "binary-cross-entropy": { perSample: binaryCrossEntropy, targets: "vector" },
  mse: { perSample: meanSquaredError, targets: "vector" },
};

/** What is minimised on the forget set. */
export interface ForgetObjective {
  readonly perSample: PerSample;
  /** Whether log(L + 1e-8) may be minimised in its place: only a loss that is ≥ 0 and whose 0 is not reached early. */
  readonly loggable: boolean;
  /**
   * Targets of the forget samples: their own; drawn anew each epoch (classes uniformly, bits by a coin, regression targets from
   * another sample); or the class the start model finds most likely among the others.
   */
  readonly targets: "own" | "redrawn" | "likely-other";
}

interface ObjectiveRow extends Omit<ForgetObjective, "perSample"> {
  readonly perSample: { readonly [L in LossName]: PerSample | undefined };
}

const objectives: { readonly [O in ForgetObjectiveName]: ObjectiveRow } = {
  "random-label": {
    perSample: {
      "cross-entropy": crossEntropy,
      "binary-cross-entropy": binaryCrossEntropy,
      mse: meanSquaredError,
    },
    loggable: true,
    targets: "redrawn",
  },
  "bounded-ascent": {
    perSample: {
      "cross-entropy": boundedAscent,
      "binary-cross-entropy": boundedAscentOfEach,
      mse: undefined,
    },
    loggable: true,
    targets: "own",
  },
  // A Kullback–Leibler divergence reaches 0: its logarithm has no floor.
  uniform: {
    perSample: { "cross-entropy": uniformKl, "binary-cross-entropy": uniformKlOfEach, mse: undefined },
    loggable: false,
    targets: "own",
  },
  "likely-other": {
    perSample: { "cross-entropy": crossEntropy, "binary-cross-entropy": undefined, mse: undefined },
    loggable: true,
    targets: "likely-other",
  },
};

/** @throws badInput OBJECTIVE_LOSS where an objective means nothing for a loss (a regression has no other class) */
export function forgetObjective(name: ForgetObjectiveName, loss: LossName): ForgetObjective {
  const { perSample, loggable, targets } = objectives[name];
  const chosen = perSample[loss];
  if (!chosen)
    throw badInput(
      "OBJECTIVE_LOSS",
      `the forget objective ${name} is not defined for the loss ${loss}; choose random-label.`,
    );
  return { perSample: chosen, loggable, targets };
}

/** The utility loss on the samples' own targets, as an objective of methods that do not redraw them. */
export const ownTargets = (loss: LossName): ForgetObjective => ({
  perSample: losses[loss].perSample,
  loggable: true,
  targets: "own",
});

/** Sample counts of a mixed batch as float scalars; padded rows have both masks 0. A part of a batch is told those of the whole. */
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

/** Σ over one side ÷ valid samples of the whole batch: the mean over its own samples × its share (METHOD section 3). 0 if it has none. */
export const sideLoss = (perSample: tf.Tensor, mask: tf.Tensor, n: tf.Tensor): tf.Scalar =>
  tf.div(tf.sum(tf.mul(perSample, mask)), n) as tf.Scalar;

/** log(L + 1e-8), as the authors log both losses. */
export const logLoss = (loss: tf.Tensor): tf.Scalar => tf.log(tf.add(loss, 1e-8)) as tf.Scalar;
