import { badInput } from "../../converters/errors.ts";
import { tf } from "../../converters/tf.ts";
import { randomLabel, type Task } from "./task.ts";
import { truthRows } from "./truth.ts";
import { brokenWhere, checkWidth, meanOverOutputs, readVectors } from "./vectors.ts";

/**
 * Mean over the outputs of (z − y)², per sample.
 * @param outputs float [N, C]
 * @param targets float [N, C]
 * @returns float [N]
 */
const meanSquaredError = (outputs: tf.Tensor, targets: tf.Tensor): tf.Tensor =>
  tf.mean(tf.square(tf.sub(outputs, targets)), 1);

/** The truth is one number per output. */
export const regression = {
  name: "regression",
  noun: "a regression",
  read: (path, y, has) =>
    readVectors(path, y, has, {
      fits: (v) => Number.isFinite(Math.fround(v)),
      is: "a target is a number that float32 can hold",
    }),
  check(set, { units, kind, output }) {
    checkWidth(set, units);
    if (kind !== "logits")
      throw badInput(
        "HEAD_LOSS",
        `The output "${output}" is squashed (it holds ${kind === "sigmoid" ? "a sigmoid" : kind}), and training would look behind that; name "${output}" as the logits to compare its own values.`,
      );
  },
  loss: meanSquaredError,
  objectives: {
    // The targets of a sample drawn from the set.
    "random-label": randomLabel(meanSquaredError, ({ truth, count }, _, draw) =>
      truthRows(
        truth,
        Array.from({ length: count }, () => draw(0, count - 1)),
      ),
    ),
  },
  measure(outputs, truth) {
    const over = (value: (z: number, y: number) => number) =>
      meanOverOutputs(outputs, outputs.raw, truth, value);
    const loss = over((z, y) => (z - y) ** 2);
    return { loss, absolute: over((z, y) => Math.abs(z - y)), broken: brokenWhere(loss) };
  },
  compare: () => ({}),
  units: ["squared error"],
  headlineLoss: "squared error",
  metrics: { SquaredError: "loss", AbsoluteError: "absolute", Accuracy: "accuracy" },
  glossary: {
    SquaredError: [
      "squared error",
      "number",
      "lower",
      "mean squared error (regressions): (output − target)², mean over outputs and samples",
    ],
    AbsoluteError: [
      "absolute error",
      "number",
      "lower",
      "mean absolute error (regressions): |output − target|, mean over outputs and samples",
    ],
  },
} satisfies Task;
