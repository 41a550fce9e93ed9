import { notTrainable } from "../../errors.ts";
import { gather, slice, where } from "../../kernels/movement.ts";
import { tf } from "../../tf.ts";
import { along, alongAxesAfter, facts, plain } from "../operator.ts";
import { type Inputs, isHost, type OperatorContext, toTensor, type Value } from "../value.ts";

/** ai.onnx.ml: pre- and post-processing by scikit-learn's and ML.NET's exporters. */
const float = (value: Value) => tf.cast(toTensor(value), "float32");
/** One number for all features, or one per feature (last axis). */
const perFeature = (numbers: readonly number[]) =>
  numbers.length === 1 ? tf.scalar(numbers[0]!) : tf.tensor1d(Float32Array.from(numbers));

/** (x − offset) · scale */
export const Scaler = (
  [x]: Inputs,
  { offset = [0], scale = [1] }: { offset?: readonly number[]; scale?: readonly number[] },
): Value => tf.mul(tf.sub(float(x!), perFeature(offset)), perFeature(scale));
Scaler.facts = plain;

interface ImputerAttributes {
  readonly imputed_value_floats?: readonly number[];
  readonly imputed_value_int64s?: readonly number[];
  readonly replaced_value_float?: number;
  readonly replaced_value_int64?: number;
}
/** Replaces a marker (or NaN) by a value, or by one value per feature. */
export function Imputer(
  [x]: Inputs,
  {
    imputed_value_floats,
    imputed_value_int64s = [],
    replaced_value_float = 0,
    replaced_value_int64 = 0,
  }: ImputerAttributes,
): Value {
  const t = toTensor(x!);
  const dtype = t.dtype as "float32" | "int32";
  const marker = dtype === "float32" ? replaced_value_float : replaced_value_int64;
  const missing = Number.isNaN(marker) ? tf.isNaN(t) : tf.equal(t, tf.scalar(marker, dtype));
  const values = imputed_value_floats ?? imputed_value_int64s;
  const fill = tf.add(tf.zeros(t.shape, dtype), tf.cast(perFeature(values), dtype));
  return where(missing, fill, t);
}
Imputer.facts = plain;

/** Divides rows by their largest entry, their sum of magnitudes or their length; zero rows stay zero. */
export function Normalizer([x]: Inputs, { norm = "MAX" }: { norm?: string }): Value {
  const t = float(x!);
  const axis = t.rank - 1;
  const size =
    norm === "MAX"
      ? tf.max(t, axis, true)
      : norm === "L1"
        ? tf.sum(tf.abs(t), axis, true)
        : tf.sqrt(tf.sum(tf.mul(t, t), axis, true));
  return tf.div(t, tf.add(size, tf.cast(tf.equal(size, tf.scalar(0)), "float32")));
}
Normalizer.facts = facts({ mixes: along(() => [-1]), tail: "rearranges" });

/** Concatenates features, each cut off or filled with zeros to its width. */
export function FeatureVectorizer(
  inputs: Inputs,
  { inputdimensions = [] }: { inputdimensions?: readonly number[] },
): Value {
  const columns = inputs.map((input, i) => {
    const t = float(input!);
    const rows = t.shape[0] ?? 1;
    const flat = tf.reshape(t, [rows, t.size / rows]);
    const [width, wanted] = [flat.shape[1]!, inputdimensions[i] ?? flat.shape[1]!];
    if (width >= wanted) return slice(flat, [0, 0], [rows, wanted]);
    return tf.concat([flat, tf.zeros([rows, wanted - width])], 1);
  });
  return columns.length === 1 ? columns[0]! : tf.concat(columns, 1);
}
FeatureVectorizer.facts = facts({ mixes: alongAxesAfter(0) });

/** The entries of the last axis at the given places. */
export function ArrayFeatureExtractor([x, indices]: Inputs): Value {
  const t = toTensor(x!);
  const places = isHost(indices)
    ? tf.tensor1d(Int32Array.from(indices.array.data), "int32")
    : tf.reshape(tf.cast(toTensor(indices!), "int32"), [-1]);
  const y = gather(t, places, t.rank - 1);
  return t.rank === 1 ? tf.reshape(y, [1, y.size]) : y;
}
ArrayFeatureExtractor.facts = facts({ mixes: along(() => [-1]) });

export const Binarizer = ([x]: Inputs, { threshold = 0 }: { threshold?: number }): Value =>
  tf.cast(tf.greater(toTensor(x!), tf.scalar(threshold)), "float32");
Binarizer.facts = facts({ ...plain, gradient: "zero" });

/** One column per category; a value of no category gives zeros. */
export function OneHotEncoder([x]: Inputs, { cats_int64s }: { cats_int64s: readonly number[] }): Value {
  const t = tf.cast(toTensor(x!), "int32");
  const categories = tf.tensor1d(Int32Array.from(cats_int64s), "int32");
  return tf.cast(tf.equal(tf.reshape(t, [...t.shape, 1]), categories), "float32");
}
OneHotEncoder.facts = facts({ ...plain, gradient: "zero", note: "integer categories" });

interface LinearAttributes {
  readonly coefficients?: readonly number[];
  readonly intercepts?: readonly number[];
  readonly targets?: number;
  readonly post_transform?: string;
}
/**
 * x Wᵀ + b. W and b are inputs in a model that the importer has rewritten (linear-models.ts), else
 * attributes, which are not trained. As in ONNX Runtime, W is the first targets · columns coefficients; the
 * rest is ignored.
 */
export function LinearRegressor(
  [x, w, b]: Inputs,
  { coefficients = [], intercepts, targets = 1, post_transform = "NONE" }: LinearAttributes,
  { where }: OperatorContext,
): Value {
  if (post_transform !== "NONE")
    throw notTrainable("POST_TRANSFORM", `${where}: post_transform ${post_transform} is not supported.`);
  const t = float(x!) as tf.Tensor2D;
  const width = t.shape.at(-1)!;
  const all = w ? toTensor(w) : tf.tensor1d(Float32Array.from(coefficients));
  const used = targets * width;
  if (all.size < used)
    throw new Error(
      `${all.size} coefficients are fewer than ${targets} rows for the ${width} columns of the input need`,
    );
  const flat = tf.reshape(all, [all.size]);
  const weights = tf.reshape(all.size === used ? flat : slice(flat, [0], [used]), [targets, width]);
  const y = tf.matMul(t, weights as tf.Tensor2D, false, true);
  const bias = b ? toTensor(b) : intercepts && tf.tensor1d(Float32Array.from(intercepts));
  return bias ? tf.add(y, bias) : y;
}
LinearRegressor.facts = facts({
  ...plain,
  note: "its weights are trained in the attributes that hold them, as those of LinearClassifier",
});
