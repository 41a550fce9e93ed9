import { elementCount, LARGEST_FLOAT32, positiveAxis } from "../../dims.ts";
import { notTrainable } from "../../errors.ts";
import { absolute, truncate } from "../../kernels/arithmetic.ts";
import { clipBetween } from "../../kernels/clip.ts";
import { expand, where } from "../../kernels/movement.ts";
import { softmax } from "../../kernels/reduction.ts";
import { dataTypeName } from "../../onnx/codecs.ts";
import type { DataType } from "../../onnx/model.ts";
import { tf } from "../../tf.ts";
import { alongAxesFrom, alongAxis, facts, type OperatorFacts, operator, plain } from "../operator.ts";
import {
  dimsOf,
  host,
  type Inputs,
  isFloatType,
  isHost,
  type OperatorContext,
  tensorTypeOf,
  toTensor,
  type Value,
} from "../value.ts";
import { hostUnary, storedTensor } from "./elementwise.ts";

const bounded: OperatorFacts = {
  ...plain,
  integers: "keeps",
  frozen: { 1: "bound of Clip", 2: "bound of Clip" },
};

const unary = <Attributes = object>(f: (x: tf.Tensor, attributes: Attributes) => tf.Tensor) =>
  operator(plain, ([x]: Inputs, attributes: Attributes): Value => f(toTensor(x!), attributes));
interface Alpha {
  readonly alpha?: number;
}
/** 1 where x > 0, else 0, with gradient 0: `step` has one, tfjs's comparisons have none at all. */
const positive = (x: tf.Tensor) => tf.step(x);
/** max(x, 0) and min(x, 0): their sum is x, and each has a gradient on one side only. */
const above = (x: tf.Tensor) => tf.relu(x);
const below = (x: tf.Tensor) => tf.neg(tf.relu(tf.neg(x)));
const scaled = (x: tf.Tensor, factor: number) => (factor === 1 ? x : tf.mul(x, tf.scalar(factor)));
/**
 * Clips x; where low > high, high wins. The gradient passes to the value that was taken; at a bound it passes
 * to x if the bound is a tensor, to nothing if it is a number. Uses a choice, not a product with a mask, as
 * ±∞ · 0 would be NaN.
 */
export const clip = (
  x: tf.Tensor,
  low: number | tf.Tensor | undefined,
  high: number | tf.Tensor | undefined,
) => {
  if (x.dtype === "float32" && typeof low !== "object" && typeof high !== "object")
    return clipBetween(x, low ?? -LARGEST_FLOAT32, high ?? LARGEST_FLOAT32);
  const spread = (bound: number | tf.Tensor) =>
    typeof bound === "number"
      ? tf.fill(x.shape, bound, x.dtype as "float32")
      : expand(tf.reshape(bound, []), x.shape);
  let y = x;
  if (low !== undefined) {
    const bound = spread(low);
    y = where(tf.less(y, bound), bound, y);
  }
  if (high !== undefined) {
    const bound = spread(high);
    y = where(tf.greater(y, bound), bound, y);
  }
  return y;
};

/** Also on the host: exported loops clamp their trip count with it. */
export const Relu = ([x]: Inputs): Value =>
  isHost(x) ? hostUnary(x, (v) => Math.max(v, 0)) : tf.relu(toTensor(x!));
Relu.facts = facts({ ...plain, integers: "keeps" });
export const Sigmoid = operator(
  { ...plain, tail: "sigmoid" },
  unary((x) => tf.sigmoid(x)),
);
export const Tanh = unary((x) => tf.tanh(x));
export const Softplus = unary((x) => tf.softplus(x));
export const Softsign = unary((x) => tf.div(x, tf.add(tf.scalar(1), absolute(x))));
export const Mish = unary((x) => tf.mul(x, tf.tanh(tf.softplus(x))));
export const HardSwish = unary((x) =>
  tf.mul(x, clip(tf.add(tf.mul(x, tf.scalar(1 / 6)), tf.scalar(0.5)), 0, 1)),
);

/** max(0, x) + alpha · min(0, x) */
export const LeakyRelu = unary((x, { alpha = 0.01 }: Alpha) => tf.leakyRelu(x, alpha));

/** max(0, x) + slope · min(0, x); before opset 7 a slope of rank 1 belongs to the channel axis. */
export function PRelu([x, slope]: Inputs, _: object, { opset }: OperatorContext): Value {
  const t = toTensor(x!);
  let s = toTensor(slope!);
  if (opset < 7 && s.rank === 1 && t.rank > 2) s = tf.reshape(s, [s.size, ...Array(t.rank - 2).fill(1)]);
  return tf.add(above(t), tf.mul(s, below(t)));
}
PRelu.facts = plain;

/** x > 0 ? x : alpha (eˣ − 1); the exponent is capped at 0, so that the unused side cannot overflow. */
const elu = (x: tf.Tensor, alpha: number, width = 1) =>
  tf.add(above(x), scaled(tf.sub(tf.exp(scaled(below(x), 1 / width)), tf.scalar(1)), alpha));
export const Elu = unary((x, { alpha = 1 }: Alpha) => elu(x, alpha));
export const Celu = unary((x, { alpha = 1 }: Alpha) => elu(x, alpha, alpha));
export const Selu = unary(
  (x, { alpha = 1.6732631921768188, gamma = 1.0507010221481323 }: Alpha & { gamma?: number }) =>
    scaled(elu(x, alpha), gamma),
);
export const HardSigmoid = unary((x, { alpha = 0.2, beta = 0.5 }: Alpha & { beta?: number }) =>
  clip(tf.add(scaled(x, alpha), tf.scalar(beta)), 0, 1),
);
export const ThresholdedRelu = unary((x, { alpha = 1 }: Alpha) =>
  tf.mul(x, positive(tf.sub(x, tf.scalar(alpha)))),
);

/** ½ x (1 + erf(x/√2)), or its tanh approximation. */
export const Gelu = unary((t, { approximate = "none" }: { approximate?: string }) => {
  if (approximate === "tanh") {
    const inner = tf.mul(
      tf.add(t, scaled(tf.mul(t, tf.mul(t, t)), 0.044715)),
      tf.scalar(Math.sqrt(2 / Math.PI)),
    );
    return tf.mul(scaled(t, 0.5), tf.add(tf.tanh(inner), tf.scalar(1)));
  }
  return tf.mul(scaled(t, 0.5), tf.add(tf.erf(scaled(t, Math.SQRT1_2)), tf.scalar(1)));
});

export const Clip = (
  [x]: Inputs,
  { min = -LARGEST_FLOAT32, max = LARGEST_FLOAT32 }: { min?: number; max?: number },
): Value => (isHost(x) ? hostUnary(x, (v) => Math.min(max, Math.max(min, v))) : clip(toTensor(x!), min, max));
Clip.facts = bounded;
/**
 * Bounds are scalars that may depend on the data and may be trained. A missing bound of a float is the
 * largest finite number.
 */
export function Clip_11([x, min, max]: Inputs): Value {
  if (isHost(x) && (!min || isHost(min)) && (!max || isHost(max))) {
    const unbounded = isFloatType(x.dtype) ? LARGEST_FLOAT32 : Number.POSITIVE_INFINITY;
    const low = min?.array.data[0] ?? -unbounded;
    const high = max?.array.data[0] ?? unbounded;
    return hostUnary(x, (v) => Math.min(high, Math.max(low, v)));
  }
  const t = toTensor(x!);
  const float = t.dtype === "float32";
  const bound = (value: Value | undefined, otherwise: number) =>
    value === undefined ? (float ? otherwise : undefined) : isHost(value) ? value.array.data[0]! : value;
  return clip(t, bound(min, -LARGEST_FLOAT32), bound(max, LARGEST_FLOAT32));
}
Clip_11.facts = bounded;

type AlongAxis = (x: tf.Tensor, axis: number) => tf.Tensor;
/** Before opset 13 these operators work on the rows of a matrix: the axes before `axis`, and the rest. */
const onRows = (own: Partial<OperatorFacts>, f: AlongAxis) =>
  operator({ mixes: alongAxesFrom(1), ...own }, ([x]: Inputs, { axis = 1 }: { axis?: number }): Value => {
    const t = toTensor(x!);
    const rows = elementCount(t.shape.slice(0, positiveAxis(axis, t.rank)));
    return tf.reshape(f(tf.reshape(t, [rows, t.size / rows]), 1), t.shape);
  });
const onAxis = (own: Partial<OperatorFacts>, f: AlongAxis) =>
  operator({ mixes: alongAxis(-1), ...own }, ([x]: Inputs, { axis = -1 }: { axis?: number }): Value => {
    const t = toTensor(x!);
    return f(t, positiveAxis(axis, t.rank));
  });
const logSoftmax: AlongAxis = (x, axis) => softmax(x, axis, true);
export const Softmax = onRows({ tail: "probabilities" }, softmax);
export const Softmax_13 = onAxis({ tail: "probabilities" }, softmax);
export const LogSoftmax = onRows({ tail: "log-probabilities" }, logSoftmax);
export const LogSoftmax_13 = onAxis({ tail: "log-probabilities" }, logSoftmax);

/** 1 at the first maximum along an axis, 0 elsewhere. */
const hardmax: AlongAxis = (x, at) => {
  const depth = x.shape[at]!;
  const places = tf.expandDims(tf.argMax(x, at), at);
  const order = tf.reshape(
    tf.range(0, depth, 1, "int32"),
    x.shape.map((_, i) => (i === at ? depth : 1)),
  );
  return tf.cast(tf.equal(places, order), "float32");
};
export const Hardmax = onRows({ gradient: "zero" }, hardmax);
export const Hardmax_13 = onAxis({ gradient: "zero" }, hardmax);

/** x + bias below −lambd, x − bias above lambd, 0 between. */
export const Shrink = unary((t, { bias = 0, lambd = 0.5 }: { bias?: number; lambd?: number }) => {
  const zero = tf.zerosLike(t);
  const low = where(tf.less(t, tf.scalar(-lambd)), tf.add(t, tf.scalar(bias)), zero);
  return where(tf.greater(t, tf.scalar(lambd)), tf.sub(t, tf.scalar(bias)), low);
});
/** x · sigmoid(alpha x) */
export const Swish = unary((x, { alpha = 1 }: Alpha) => tf.mul(x, tf.sigmoid(scaled(x, alpha))));

export const Identity = ([x]: Inputs): Value => x!;
Identity.facts = facts({ ...plain, integers: "keeps", tail: "transparent" });
/**
 * Inference only: the identity; a Dropout that draws a random mask is refused. The mask is all true from opset 12
 * on.
 * Before, its content was undefined (ONNX Runtime returns zeros), and before opset 10 it had the data's type.
 */
export function Dropout(
  [x, ratio, training]: Inputs,
  _: object,
  { node, opset, where: at }: OperatorContext,
): Value | Value[] {
  const drops = isHost(training) && training.array.data[0] !== 0;
  if (drops && !(isHost(ratio) && ratio.array.data[0] === 0))
    throw notTrainable(
      "DROPOUT_TRAINING",
      `${at}: training_mode is true, so that the outputs are random; export the model in eval mode.`,
    );
  if (node.outputs.length < 2) return x!;
  const dims = dimsOf(x!);
  const mask = new Float64Array(elementCount(dims)).fill(opset < 12 ? 0 : 1);
  return [x!, host(opset < 10 ? "float32" : "bool", dims, mask)];
}
Dropout.facts = facts({
  ...plain,
  frozen: { 1: "ratio of Dropout" },
  tail: "transparent",
  note: "the identity; training_mode=true is refused",
});

/** The last element type that Cast supports, in ONNX's order; strings and complex numbers are not supported. */
const BFLOAT16 = 16;
function dataTypeOf(to: number | string): DataType | undefined {
  if (typeof to === "string")
    return to
      .replace(/^float$/i, "float32")
      .replace(/^double$/i, "float64")
      .toLowerCase() as DataType;
  const dtype = to <= BFLOAT16 ? dataTypeName(to) : undefined;
  return dtype === "string" || dtype?.startsWith("complex") ? undefined : dtype;
}
function convert(x: Value, dtype: DataType): Value {
  if (isHost(x)) {
    const integer = !isFloatType(dtype) && dtype !== "bool";
    return hostUnary(x, integer ? Math.trunc : (v) => v, dtype);
  }
  const t = x as tf.Tensor;
  const to = tensorTypeOf(dtype);
  const cast =
    t.dtype === to ? t : t.dtype === "float32" && to !== "float32" ? truncate(t, to) : tf.cast(t, to);
  return t.dtype === "bool" ? cast : storedTensor(cast, dtype);
}
/**
 * Between float types the float32 values are unchanged; to integers they are truncated and wrap around; to
 * bool they become x ≠ 0.
 */
export function Cast([x]: Inputs, { to }: { to: number | string }, { where }: OperatorContext): Value {
  const dtype = dataTypeOf(to);
  if (!dtype) throw notTrainable("CAST_TYPE", `${where}: cannot cast to ONNX element type ${to}.`);
  return convert(x!, dtype);
}
Cast.facts = facts({ ...plain, tail: "transparent", note: "between float types the float32 master is kept" });

const TYPED = {
  float32: Float32Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
} as const;
const typedOf = (dtype: DataType | undefined) => TYPED[dtype as keyof typeof TYPED];
/** The same bits read as another type of the same width; host values only. */
export function BitCast([x]: Inputs, { to }: { to: number }, { where: at }: OperatorContext): Value {
  const dtype = dataTypeOf(to);
  const target = typedOf(dtype);
  const source = isHost(x) ? typedOf(x.dtype) : undefined;
  if (!isHost(x) || !dtype || !target || source?.BYTES_PER_ELEMENT !== target.BYTES_PER_ELEMENT)
    throw notTrainable(
      "BITCAST",
      `${at}: only values known from shapes and constants can be read as another type, of 8, 16 or 32 bits.`,
    );
  return host(dtype, x.array.shape, new target(source.from(x.array.data).buffer));
}
BitCast.facts = facts({ ...plain, gradient: "zero", note: "host values only" });
