import { badInput } from "../../converters/errors.ts";
import { softmax } from "../../converters/kernels/reduction.ts";
import { tf } from "../../converters/tf.ts";
import { uniformKlOfEach } from "./multi-label.ts";
import { softplus } from "./numbers.ts";
import {
  type Column,
  type Columns,
  type Labelled,
  type Outputs,
  randomLabel,
  type Task,
  type Truth,
} from "./task.ts";
import { asInt32, layoutOf, truthOf } from "./truth.ts";

/**
 * Log-probabilities of logits [N, C]. A single LogSoftmax when compiled; tfjs's own would be six operators.
 */
export const logSoftmax = (logits: tf.Tensor): tf.Tensor => softmax(logits, 1, true);

/** int32 labels [N] → float one-hot [N, classes]. */
function oneHot(labels: tf.Tensor, classes: number): tf.Tensor2D {
  const range = tf.tensor2d(
    Int32Array.from({ length: classes }, (_, i) => i),
    [1, classes],
    "int32",
  );
  return tf.cast(tf.equal(tf.reshape(labels, [-1, 1]), range), "float32") as tf.Tensor2D;
}

/**
 * Cross-entropy −log p_y in nats, per sample. One logit: binary cross-entropy softplus(z) − y z.
 * @param logits float [N, C]
 * @param labels int32 [N], in 0…C−1 (0 or 1 where C = 1)
 * @returns float [N]
 */
function crossEntropy(logits: tf.Tensor, labels: tf.Tensor): tf.Tensor {
  const [n, classes] = logits.shape as [number, number];
  if (classes === 1) {
    const z = tf.reshape(logits, [n]);
    return tf.sub(tf.softplus(z), tf.mul(z, tf.cast(labels, "float32")));
  }
  return tf.neg(tf.sum(tf.mul(logSoftmax(logits), oneHot(labels, classes)), 1));
}

/**
 * Bounded ascent −log(1 − p_y) ≥ 0 in nats, per sample: falls to 0 as the label's probability p_y does.
 * 1 − p_y is the sum over the other classes, taken in log space, so it is exact where p_y ≈ 1.
 * @param logits float [N, C]
 * @param labels int32 [N]
 * @returns float [N]
 */
function boundedAscent(logits: tf.Tensor, labels: tf.Tensor): tf.Tensor {
  const [n, classes] = logits.shape as [number, number];
  if (classes === 1) {
    const sign = tf.sub(tf.mul(tf.cast(labels, "float32"), 2), 1);
    return tf.softplus(tf.mul(tf.reshape(logits, [n]), sign));
  }
  const label = oneHot(labels, classes);
  const others = tf.sub(tf.mul(logSoftmax(logits), tf.sub(1, label)), tf.mul(label, 1e9));
  return tf.neg(tf.logSumExp(others, 1));
}

/**
 * KL(u ‖ p) of the uniform distribution against the model's, in nats, per sample: −log C − (1/C) Σ log p_c.
 * One logit counts as two classes.
 * @param logits float [N, C]
 * @returns float [N]
 */
function uniformKl(logits: tf.Tensor): tf.Tensor {
  const classes = logits.shape[1]!;
  if (classes === 1) return uniformKlOfEach(logits);
  return tf.sub(tf.neg(tf.mean(logSoftmax(logits), 1)), Math.log(classes));
}

/** A model with a single output is a binary classifier: its output is the logit or probability of class 1. */
const classesOf = (units: number): number => Math.max(2, units);

/** argmax over values[from … to − 1], counted from `from`; the first of equal values; −1 if one is NaN. */
function largest(values: ArrayLike<number>, from: number, to: number): number {
  let best = from;
  for (let at = from; at < to; at++) {
    if (Number.isNaN(values[at]!)) return -1;
    if (values[at]! > values[best]!) best = at;
  }
  return best - from;
}

/** The argmax of the raw output, not of probabilities: rounding can make saturated probabilities equal. */
function predicted({ count, raw, kind }: Outputs): Int32Array {
  if (kind === "labels") return Int32Array.from(raw);
  const units = raw.length / count;
  if (units > 1)
    return Int32Array.from({ length: count }, (_, i) => largest(raw, i * units, (i + 1) * units));
  const even = kind === "logits" ? 0 : 0.5;
  return Int32Array.from(raw, (value) => (Number.isNaN(value) ? -1 : Number(value > even)));
}

/** Class probabilities in float32, the precision of a file that ends in a softmax. */
function probabilities(outputs: Outputs): Float32Array | undefined {
  const { count, raw, kind } = outputs;
  if (kind === "labels") return undefined;
  if (raw.length === count) {
    const ones = kind === "logits" ? raw.map((z) => 1 / (1 + Math.exp(-z))) : raw;
    return Float32Array.from({ length: 2 * count }, (_, i) => (i % 2 ? ones[i >> 1]! : 1 - ones[i >> 1]!));
  }
  if (kind === "log-probabilities") return raw.map(Math.exp);
  if (kind !== "logits") return raw;
  const classes = raw.length / count;
  const [out, row] = [new Float32Array(raw.length), new Float64Array(classes)];
  const logs = logProbabilities(outputs)!;
  for (let i = 0; i < count; i++) {
    logs(i, row);
    out.set(row.map(Math.exp), i * classes);
  }
  return out;
}

/** Smaller probabilities are raised to this before their logarithm is taken. */
const SMALLEST = 1e-30;

/**
 * A function that writes the natural log-probabilities of sample i into `out` [classes]; undefined where the
 * file gives labels only. From logits they are computed directly, so they stay finite where p rounds to 0.
 */
function logProbabilities(outputs: Outputs): ((i: number, out: Float64Array) => void) | undefined {
  const { count, raw, kind } = outputs;
  const units = raw.length / count;
  if (kind === "logits" && units === 1)
    return (i, out) => {
      out[0] = -softplus(raw[i]!);
      out[1] = -softplus(-raw[i]!);
    };
  if (kind === "logits")
    return (i, out) => {
      let peak = Number.NEGATIVE_INFINITY;
      for (let c = 0; c < units; c++) peak = Math.max(peak, raw[i * units + c]!);
      let total = 0;
      for (let c = 0; c < units; c++) total += Math.exp(raw[i * units + c]! - peak);
      const logTotal = Math.log(total) + peak;
      for (let c = 0; c < units; c++) out[c] = raw[i * units + c]! - logTotal;
    };
  if (kind === "log-probabilities" && units > 1)
    return (i, out) => out.set(raw.subarray(i * units, (i + 1) * units));
  const known = probabilities(outputs);
  if (!known) return undefined;
  const classes = classesOf(units);
  return (i, out) => {
    // Not Math.max(p, …) alone: NaN must stay NaN.
    for (let c = 0; c < classes; c++) {
      const p = known[i * classes + c]!;
      out[c] = Math.log(p < SMALLEST ? SMALLEST : p);
    }
  };
}

/**
 * Σ_c term(p_c, log p_c, log q_c) per sample, p from `a` and q from `b`; undefined where one of them has no
 * probabilities, or another number of classes.
 */
function divergence(
  a: Outputs,
  b: Outputs,
  term: (p: number, logP: number, logQ: number) => number,
): Column | undefined {
  const [ofA, ofB] = [logProbabilities(a), logProbabilities(b)];
  const [classes, others] = [a, b].map(({ count, raw }) => classesOf(raw.length / count)) as [number, number];
  if (!ofA || !ofB || classes !== others) return undefined;
  const [rowA, rowB] = [new Float64Array(classes), new Float64Array(classes)];
  return Float64Array.from({ length: a.count }, (_, i) => {
    ofA(i, rowA);
    ofB(i, rowB);
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += term(Math.exp(rowA[c]!), rowA[c]!, rowB[c]!);
    return sum;
  });
}

/** The most likely class that is not the sample's own. */
function likelyOther({ truth, count }: Labelled, logits: Float32Array): Truth {
  const width = logits.length / count;
  const labels = truth.data as Int32Array;
  // One logit: the other of two classes.
  if (width === 1) return truthOf(labels.map((y) => 1 - y));
  return truthOf(
    labels.map((own, i) => {
      let best = own === 0 ? 1 : 0;
      for (let c = 0; c < width; c++)
        if (c !== own && logits[i * width + c]! > logits[i * width + best]!) best = c;
      return best;
    }),
  );
}

/** The truth is one class per sample, a whole number from 0. */
export const classification = {
  name: "classification",
  noun: "a classification",
  read(path, y, has) {
    if (!y || (y.kind !== "integer" && y.dims.length < 2))
      throw badInput(
        "LABELS_MISSING",
        `${path} has no integer array "y" of labels (${has}); add one label per sample, or choose the loss that fits what else "y" is.`,
      );
    const { count, width } = layoutOf(path, y);
    if (width !== 1)
      throw badInput(
        "LABELS_SHAPE",
        `${path}: "y" has shape [${y.dims.join(", ")}], ${width} numbers per sample, where the loss cross-entropy takes one class; choose binary-cross-entropy for several labels per sample, mse for a regression.`,
      );
    const [labels, bad] = asInt32(y.data);
    const wrong = bad >= 0 ? bad : labels.findIndex((label) => label < 0);
    if (wrong >= 0)
      throw badInput(
        "LABEL_RANGE",
        `${path}: sample ${wrong} has label ${y.data[wrong]}; classes are whole numbers from 0, mend the labels.`,
      );
    return { count, truth: truthOf(labels) };
  },
  check({ path, truth }, { units, kind }) {
    // Predicted labels do not tell how many classes the model has.
    if (kind === "labels") return;
    const classes = classesOf(units);
    const wrong = truth.data.findIndex((label) => label < 0 || label >= classes);
    if (wrong >= 0)
      throw badInput(
        "LABEL_RANGE",
        `${path}: sample ${wrong} has label ${truth.data[wrong]}, but the model has ${classes} classes, 0 to ${classes - 1}; mend the labels.`,
      );
  },
  loss: crossEntropy,
  objectives: {
    // Uniform over all classes, the sample's own included.
    "random-label": randomLabel(crossEntropy, ({ count }, units, draw) =>
      truthOf(Int32Array.from({ length: count }, () => draw(0, classesOf(units) - 1))),
    ),
    "bounded-ascent": { perSample: boundedAscent, loggable: true },
    // A Kullback–Leibler divergence reaches 0: its logarithm has no floor.
    uniform: { perSample: uniformKl, loggable: false },
    "likely-other": { perSample: crossEntropy, loggable: true, fromStart: likelyOther },
  },
  measure(outputs, { data: truth }): Columns {
    const { count } = outputs;
    const classes = predicted(outputs);
    const accuracy = Float64Array.from(classes, (label, i) => Number(label === truth[i]));
    const logs = logProbabilities(outputs);
    if (!logs) return { accuracy, broken: Float64Array.from(classes, (label) => Number(label < 0)) };
    const row = new Float64Array(classesOf(outputs.raw.length / count));
    const [top5, loss, peak] = [new Float64Array(count), new Float64Array(count), new Float64Array(count)];
    for (let i = 0; i < count; i++) {
      logs(i, row);
      const own = row[truth[i]!]!;
      loss[i] = -own;
      let [above, highest] = [0, Number.NEGATIVE_INFINITY];
      for (const value of row) {
        if (value > own) above++;
        if (value > highest || Number.isNaN(value)) highest = value;
      }
      top5[i] = Number(above < 5 && !Number.isNaN(own));
      peak[i] = Math.exp(highest);
    }
    return {
      accuracy,
      loss,
      confidence: loss.map((value) => Math.exp(-value)),
      peak,
      broken: loss.map((value, i) => Number(classes[i]! < 0 || !Number.isFinite(value))),
      // With at most five classes the top-5 accuracy is 1 by definition.
      ...(row.length > 5 ? { top5 } : {}),
    };
  },
  compare(before, after, { data: truth }) {
    const [b, a] = [predicted(before), predicted(after)];
    const each = (of: (before: number, after: number, label: number) => boolean) =>
      Float64Array.from(b, (label, i) => Number(of(label, a[i]!, truth[i]!)));
    return {
      agreement: each((x, y) => x === y),
      kl: divergence(before, after, (p, logP, logQ) => p * (logP - logQ)),
      newlyWrong: each((x, y, label) => x === label && y !== label),
      newlyRight: each((x, y, label) => x !== label && y === label),
    };
  },
  classes: {
    predicted,
    probabilities,
    jensenShannon: (a, b) =>
      divergence(a, b, (p, logP, logQ) => {
        const q = Math.exp(logQ);
        const logM = Math.log(0.5 * (p + q));
        return 0.5 * ((p > 0 ? p * (logP - logM) : 0) + (q > 0 ? q * (logQ - logM) : 0));
        // A divergence is never negative; rounding can make it so.
      })?.map((value) => Math.max(0, value)),
  },
  units: ["accuracy", "nats"],
  metrics: { Loss: "loss", Accuracy: "accuracy", Top5Accuracy: "top5" },
  glossary: {
    Top5Accuracy: [
      "top-5 accuracy",
      "share",
      "higher",
      "share of samples whose label is among the five most probable classes (models of more than five classes)",
    ],
  },
} satisfies Task;

/** The fields of a classification set that follow from its labels. */
export const ofClasses = (labels: Int32Array): Omit<Labelled, "path"> => ({
  count: labels.length,
  task: classification,
  truth: truthOf(labels),
});
