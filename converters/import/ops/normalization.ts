import { positiveAxis } from "../../dims.ts";
import { notTrainable } from "../../errors.ts";
import { absolute, normRoot } from "../../kernels/arithmetic.ts";
import { inverseDeviation, standardize } from "../../kernels/normalization.ts";
import { sumPool } from "../../kernels/pool.ts";
import { tf } from "../../tf.ts";
import { along, alongAxesAfter, alongAxesFrom, alongAxis, axesFrom, facts, plain } from "../operator.ts";
import { type Inputs, type OperatorContext, toTensor, type Value } from "../value.ts";

/** A per-channel vector as [C,1,1,…], to broadcast with [N,C,spatial…]. */
const perChannel = (v: tf.Tensor, rank: number) =>
  tf.reshape(v, [v.size, ...Array(Math.max(0, rank - 2)).fill(1)]);

interface BatchAttributes {
  readonly epsilon?: number;
  readonly spatial?: number;
  readonly training_mode?: number;
}
/**
 * Inference only: running statistics are frozen; scale and bias may be trained. `spatial=0` (before opset 9)
 * has statistics per element, not per channel. Before opset 14, ONNX Runtime takes further outputs as
 * training mode.
 */
export function BatchNormalization(
  [x, scale, bias, mean, variance]: Inputs,
  { epsilon = 1e-5, spatial = 1, training_mode = 0 }: BatchAttributes,
  { where, node }: OperatorContext,
): Value {
  const more = node.outputs.length - 1;
  if (training_mode || more > 0)
    throw notTrainable(
      "BATCHNORM_TRAINING",
      `${where}: ${training_mode ? "training_mode=1" : `a node with ${more} outputs besides its first`} uses batch statistics, so that what a sample gets depends on its neighbours; export the model in eval mode.`,
    );
  const t = toTensor(x!);
  const [s, b, m, v] = [scale, bias, mean, variance].map((p) => toTensor(p!)) as [
    tf.Tensor,
    tf.Tensor,
    tf.Tensor,
    tf.Tensor,
  ];
  const spread = (p: tf.Tensor) => (spatial ? perChannel(p, t.rank) : p);
  const factor = tf.div(s, tf.sqrt(tf.add(v, tf.scalar(epsilon))));
  const shift = tf.sub(b, tf.mul(m, factor));
  return tf.add(tf.mul(t, spread(factor)), spread(shift));
}
BatchNormalization.facts = facts({
  ...plain,
  frozen: { 3: "running mean of BatchNormalization", 4: "running variance of BatchNormalization" },
  note: "running statistics, frozen by default; training_mode=1 is refused",
});

export function InstanceNormalization(
  [x, scale, bias]: Inputs,
  { epsilon = 1e-5 }: { epsilon?: number },
): Value {
  const t = toTensor(x!);
  const y = standardize(t, 2, epsilon);
  return tf.add(tf.mul(y, perChannel(toTensor(scale!), t.rank)), perChannel(toTensor(bias!), t.rank));
}
InstanceNormalization.facts = facts({ mixes: alongAxesAfter(1) });

interface GroupAttributes {
  readonly epsilon?: number;
  readonly num_groups: number;
}
/** [N, groups, everything of a group] */
const grouped = (x: tf.Tensor, { num_groups, epsilon = 1e-5 }: GroupAttributes) => {
  const n = x.shape[0]!;
  return standardize(tf.reshape(x, [n, num_groups, x.size / (n * num_groups)]), 2, epsilon);
};
/** Opset 18: scale and bias per group. */
export function GroupNormalization([x, scale, bias]: Inputs, attributes: GroupAttributes): Value {
  const t = toTensor(x!);
  const [s, b] = [scale, bias].map((p) => tf.reshape(toTensor(p!), [attributes.num_groups, 1])) as [
    tf.Tensor,
    tf.Tensor,
  ];
  return tf.reshape(tf.add(tf.mul(grouped(t, attributes), s), b), t.shape);
}
GroupNormalization.facts = facts({ mixes: alongAxesAfter(0) });
/** Scale and bias per channel. */
export function GroupNormalization_21([x, scale, bias]: Inputs, attributes: GroupAttributes): Value {
  const t = toTensor(x!);
  const y = tf.reshape(grouped(t, attributes), t.shape);
  return tf.add(tf.mul(y, perChannel(toTensor(scale!), t.rank)), perChannel(toTensor(bias!), t.rank));
}
GroupNormalization_21.facts = facts({ mixes: alongAxesAfter(0) });

/** Outputs Y, Mean and InvStdDev, the statistics with length 1 along the normalised axes. */
export function LayerNormalization(
  [x, scale, bias]: Inputs,
  { axis = -1, epsilon = 1e-5 }: { axis?: number; epsilon?: number },
  { node: { outputs } }: OperatorContext,
): Value[] {
  const t = toTensor(x!);
  const first = positiveAxis(axis, t.rank);
  const scaled = tf.mul(standardize(t, first, epsilon), toTensor(scale!));
  const y = bias ? tf.add(scaled, toTensor(bias)) : scaled;
  if (outputs.length < 2) return [y];
  return [y, tf.mean(t, axesFrom(first, t.rank), true), inverseDeviation(t, first, epsilon)];
}
LayerNormalization.facts = facts({ mixes: alongAxesFrom(-1) });

/** x / √(mean(x²) + ε) · scale, and the root. */
const rootMeanSquare = (x: tf.Tensor, scale: tf.Tensor, axis: number, epsilon: number) => {
  const axes = axesFrom(positiveAxis(axis, x.rank), x.rank);
  const root = tf.sqrt(tf.add(tf.mean(tf.mul(x, x), axes, true), tf.scalar(epsilon)));
  return { y: tf.mul(tf.div(x, root), scale), root };
};
interface RootMeanSquareAttributes {
  readonly axis?: number;
  readonly epsilon?: number;
}
export const RMSNormalization = (
  [x, scale]: Inputs,
  { axis = -1, epsilon = 1e-5 }: RootMeanSquareAttributes,
): Value => rootMeanSquare(toTensor(x!), toTensor(scale!), axis, epsilon).y;
RMSNormalization.facts = facts({ mixes: alongAxesFrom(-1) });
/** ONNX Runtime's predecessor of RMSNormalization, in the domain ai.onnx; second output 1/root. */
export function SimplifiedLayerNormalization(
  [x, scale]: Inputs,
  { axis = -1, epsilon = 1e-5 }: RootMeanSquareAttributes,
): Value[] {
  const { y, root } = rootMeanSquare(toTensor(x!), toTensor(scale!), axis, epsilon);
  return [y, tf.reciprocal(root)];
}
SimplifiedLayerNormalization.facts = facts({
  mixes: alongAxesFrom(-1),
  note: "ONNX Runtime's own, in the domain ai.onnx",
});

/** x / (bias + alpha/size · Σ x²)^beta, the sum over `size` neighbouring channels. */
export function LRN(
  [x]: Inputs,
  {
    alpha = 1e-4,
    beta = 0.75,
    bias = 1,
    size,
  }: { alpha?: number; beta?: number; bias?: number; size: number },
): Value {
  const t = toTensor(x!);
  const [n, c] = t.shape as [number, number];
  const places = t.size / (n * c);
  // Channels become the first spatial axis, over which a window of size × 1 slides.
  const plane = tf.reshape(tf.mul(t, t), [n, 1, c, places]);
  const before = Math.floor((size - 1) / 2);
  const sums = sumPool(plane, {
    kernel: [size, 1],
    strides: [1, 1],
    dilations: [1, 1],
    pads: [before, 0, size - 1 - before, 0],
    inputShape: plane.shape,
    outputShape: plane.shape,
  });
  const base = tf.add(tf.mul(tf.reshape(sums, t.shape), tf.scalar(alpha / size)), tf.scalar(bias));
  return tf.mul(t, tf.pow(base, tf.scalar(-beta)));
}
LRN.facts = facts({ mixes: along(() => [1]) });

/** (x − mean) / √variance; ONNX's own function body adds 1e-9 to the deviation. */
export function MeanVarianceNormalization(
  [x]: Inputs,
  { axes = [0, 2, 3] }: { axes?: readonly number[] },
): Value {
  const t = toTensor(x!);
  const over = axes.map((a) => positiveAxis(a, t.rank));
  const centered = tf.sub(t, tf.mean(t, over, true));
  const deviation = normRoot(tf.mean(tf.mul(centered, centered), over, true));
  return tf.div(centered, tf.add(deviation, tf.scalar(1e-9)));
}
MeanVarianceNormalization.facts = facts({
  mixes: along(({ axes = [0, 2, 3] }) => axes as readonly number[]),
});

/** x / ‖x‖; a zero vector stays zero. */
export function LpNormalization([x]: Inputs, { axis = -1, p = 2 }: { axis?: number; p?: number }): Value {
  const t = toTensor(x!);
  const at = positiveAxis(axis, t.rank);
  const norm = p === 1 ? tf.sum(absolute(t), at, true) : normRoot(tf.sum(tf.mul(t, t), at, true));
  return tf.div(t, tf.add(norm, tf.cast(tf.equal(norm, tf.scalar(0)), "float32")));
}
LpNormalization.facts = facts({ mixes: alongAxis(-1), note: "the gradient of a vector of zeros is zero" });
