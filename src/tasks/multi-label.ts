import { badInput } from "../../converters/errors.ts";
import { tf } from "../../converters/tf.ts";
import { softplus } from "./numbers.ts";
import { type Outputs, randomLabel, type Task } from "./task.ts";
import { brokenWhere, checkWidth, meanOverOutputs, readVectors } from "./vectors.ts";

/**
 * Mean over the labels of softplus(z) − y z in nats, per sample.
 * @param logits float [N, C]
 * @param targets float [N, C], each 0 or 1
 * @returns float [N]
 */
const binaryCrossEntropy = (logits: tf.Tensor, targets: tf.Tensor): tf.Tensor =>
  tf.mean(tf.sub(tf.softplus(logits), tf.mul(logits, targets)), 1);

/**
 * Bounded ascent, averaged over the labels: mean of softplus((2y − 1) z).
 * @param logits float [N, C]
 * @param targets float [N, C], each 0 or 1
 * @returns float [N]
 */
const boundedAscentOfEach = (logits: tf.Tensor, targets: tf.Tensor): tf.Tensor =>
  tf.mean(tf.softplus(tf.mul(logits, tf.sub(tf.mul(targets, 2), 1))), 1);

/**
 * KL(½ ‖ p) of a fair coin from each label's probability, averaged over the labels: mean of softplus(z) − z/2
 * − log 2.
 * @param logits float [N, C]
 * @returns float [N]
 */
export const uniformKlOfEach = (logits: tf.Tensor): tf.Tensor =>
  tf.sub(tf.mean(tf.sub(tf.softplus(logits), tf.mul(logits, 0.5)), 1), Math.LN2);

/**
 * Half the spacing of float32 just below 1. ONNX Runtime computes a sigmoid as ½ + x · r(x), so it rounds
 * equally near 0 and near 1, and a smaller p or 1 − p cannot be told from 0.
 */
const UNRESOLVED = 2 ** -25;
/** log(p / (1 − p)), finite also for a saturated float32 sigmoid. */
const logit = (p: number): number =>
  Number.isNaN(p) ? p : Math.log(Math.max(p, UNRESOLVED)) - Math.log(Math.max(1 - p, UNRESOLVED));
const logitsOf = ({ raw, kind }: Outputs): ArrayLike<number> =>
  kind === "sigmoid" ? Float64Array.from(raw, logit) : raw;

/** The truth is 0 or 1 for each label; a label is predicted where its logit is above 0. */
export const multiLabel = {
  name: "multi-label",
  noun: "a classification into several labels per sample",
  read: (path, y, has) =>
    readVectors(path, y, has, { fits: (v) => v === 0 || v === 1, is: "a label is 0 or 1" }),
  check(set, { units, kind, output }) {
    checkWidth(set, units);
    if (kind !== "logits" && kind !== "sigmoid")
      throw badInput(
        "HEAD_LOSS",
        `The output "${output}" holds ${kind}, which says nothing of several labels per sample; the loss binary-cross-entropy takes logits or a sigmoid.`,
      );
  },
  loss: binaryCrossEntropy,
  objectives: {
    // Each label is drawn as 0 or 1 with equal probability.
    "random-label": randomLabel(binaryCrossEntropy, ({ truth }, _, draw) => ({
      ...truth,
      data: Float32Array.from(truth.data, () => draw(0, 1)),
    })),
    "bounded-ascent": { perSample: boundedAscentOfEach, loggable: true },
    // A Kullback–Leibler divergence reaches 0: its logarithm has no floor.
    uniform: { perSample: uniformKlOfEach, loggable: false },
  },
  measure(outputs, truth) {
    const logits = logitsOf(outputs);
    const over = (value: (z: number, y: number) => number) => meanOverOutputs(outputs, logits, truth, value);
    const accuracy = over((z, y) => Number(z > 0 === y > 0.5));
    const loss = over((z, y) => softplus(z) - y * z);
    return {
      accuracy,
      loss,
      subset: accuracy.map((share) => Number(share === 1)),
      broken: brokenWhere(loss),
    };
  },
  // Newly wrong and newly right: a sample is right only if all of its labels are.
  compare(before, after, truth) {
    const [x, y] = [logitsOf(before), logitsOf(after)];
    const { width } = truth;
    const right = (logits: ArrayLike<number>, i: number) => {
      for (let at = i * width; at < (i + 1) * width; at++)
        if (logits[at]! > 0 !== truth.data[at]! > 0.5) return false;
      return true;
    };
    const each = (of: (i: number) => number) => Float64Array.from({ length: before.count }, (_, i) => of(i));
    return {
      agreement: each((i) => {
        let same = 0;
        for (let at = i * width; at < (i + 1) * width; at++) same += Number(x[at]! > 0 === y[at]! > 0);
        return same / width;
      }),
      newlyWrong: each((i) => Number(right(x, i) && !right(y, i))),
      newlyRight: each((i) => Number(!right(x, i) && right(y, i))),
    };
  },
  units: ["accuracy", "nats"],
  headlineLoss: "nats",
  metrics: { SubsetAccuracy: "subset", Loss: "loss", Accuracy: "accuracy" },
  glossary: {
    SubsetAccuracy: [
      "subset accuracy",
      "share",
      "higher",
      "share of samples of which every label is right (several labels per sample)",
    ],
  },
} satisfies Task;
