// A forget objective of one's own, as a value: what is minimised on the samples to forget. This one is a
// hinge: it pushes the logit of a sample's label down to the largest of the other logits, and no further.
import { fileURLToPath } from "node:url";
import { open, tf } from "onnx-unlearn";

const digits = new URL("../models/digits/", import.meta.url);
/** @param {string} name */
const set = (name) => fileURLToPath(new URL(`digits-${name}.npz`, digits));

/**
 * max(0, z_y - max of the other z) per sample. It is built of tfjs operators; training differentiates it and
 * compiles it with the rest of the step.
 * @type {import("onnx-unlearn").ForgetObjective}
 */
const hinge = {
  // logits float [N, classes], labels int32 [N] -> float [N]
  perSample: (logits, labels) => {
    const label = tf.oneHot(tf.cast(labels, "int32"), logits.shape[1] ?? 0);
    const own = tf.sum(tf.mul(logits, label), 1);
    const other = tf.max(tf.sub(logits, tf.mul(label, 1e9)), 1);
    return tf.relu(tf.sub(own, other));
  },
  // It reaches 0, where a logarithm has no floor.
  loggable: false,
};

const opened = await open(
  fileURLToPath(new URL("digits.onnx", digits)),
  { forget: set("forget"), retain: set("retain"), test: set("test") },
  { preprocessing: { scale: 16, mean: [0.5], std: [0.5] }, seed: 0, threads: 1 },
);
const { document } = await opened.unlearn({
  budget: "1pp",
  options: { forgetObjective: hinge, batchSize: 64 },
});

const { before, after } = document;
/** @param {number | null | undefined} share a fraction of samples */
const percent = (share) => `${(100 * (share ?? Number.NaN)).toFixed(1)} %`;
console.log(
  `accuracy on what it forgot: ${percent(before.forgetAccuracy)} -> ${percent(after.forgetAccuracy)}`,
);
console.log(`accuracy on unseen digits: ${percent(before.testAccuracy)} -> ${percent(after.testAccuracy)}`);
