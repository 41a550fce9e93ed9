import { elementCount, positiveAxis } from "../../dims.ts";
import { notTrainable } from "../../errors.ts";
import type { OnnxTensor } from "../../onnx/model.ts";
import { tf } from "../../tf.ts";
import { always, facts, type OperatorFacts, plain } from "../operator.ts";
import {
  dimsOf,
  type HostTensor,
  host,
  hostFromOnnx,
  type Inputs,
  isFloatType,
  isHost,
  type OperatorContext,
  tensorTypeOf,
  toNumbers,
  toTensor,
  type Value,
} from "../value.ts";
import { Cast } from "./activation.ts";

const zero: OperatorFacts = { ...plain, gradient: "zero" };

export function Shape([x]: Inputs, { start = 0, end }: { start?: number; end?: number }): Value {
  const dims = dimsOf(x!).slice(start, end);
  return host("int64", [dims.length], dims);
}
Shape.facts = facts({ ...zero, readsShapeOnly: true });
export const Size = ([x]: Inputs): Value => host("int64", [], [elementCount(dimsOf(x!))]);
Size.facts = facts({ ...zero, readsShapeOnly: true });

interface ConstantAttributes {
  readonly value?: OnnxTensor;
  readonly value_float?: number;
  readonly value_floats?: readonly number[];
  readonly value_int?: number;
  readonly value_ints?: readonly number[];
}
export function Constant(_: Inputs, attributes: ConstantAttributes, { where }: OperatorContext): Value {
  const { value, value_float, value_floats, value_int, value_ints } = attributes;
  if (value) return hostFromOnnx(value);
  if (value_float !== undefined) return host("float32", [], [value_float]);
  if (value_floats) return host("float32", [value_floats.length], value_floats);
  if (value_int !== undefined) return host("int64", [], [value_int]);
  if (value_ints) return host("int64", [value_ints.length], value_ints);
  throw notTrainable("CONSTANT_KIND", `${where}: only tensor, float and integer constants can be imported.`);
}
Constant.facts = zero;

export function ConstantOfShape(
  [shape]: Inputs,
  { value }: { value?: OnnxTensor },
  context: OperatorContext,
): Value {
  const dims = toNumbers(shape, "shape", context);
  const fill = value ? Number((value.data as ArrayLike<number | bigint>)[0]) : 0;
  // Filled weight tensors are no shape arithmetic: as a tf.fill they cost the compiler a single number.
  const elements = elementCount(dims);
  if (elements > 4096 && isFloatType(value?.dtype ?? "float32")) return tf.fill(dims, fill);
  return host(value?.dtype ?? "float32", dims, new Float64Array(elements).fill(fill));
}
ConstantOfShape.facts = zero;

export function Range([start, limit, delta]: Inputs, _: object, context: OperatorContext): Value {
  const [from, to, step] = [
    toNumbers(start, "start", context)[0]!,
    toNumbers(limit, "limit", context)[0]!,
    toNumbers(delta, "delta", context)[0]!,
  ];
  const count = Math.max(0, Math.ceil((to - from) / step));
  return host(
    isHost(start) ? start.dtype : "int64",
    [count],
    Array.from({ length: count }, (_v, i) => from + i * step),
  );
}
Range.facts = facts({ ...zero, frozen: { 0: "bound of Range", 1: "bound of Range", 2: "step of Range" } });

/** values = [off, on]. Negative indices count from the end; indices outside [−depth, depth) give all off. */
export function OneHot(
  [indices, depth, values]: Inputs,
  { axis = -1 }: { axis?: number },
  context: OperatorContext,
): Value {
  const classes = toNumbers(depth, "depth", context)[0]!;
  const [off, on] = toNumbers(values, "values", context) as [number, number];
  const dtype = tensorTypeOf((values as HostTensor).dtype);
  const index = tf.cast(toTensor(indices!), "int32");
  const wrapped = tf.add(
    index,
    tf.mul(tf.cast(tf.less(index, tf.scalar(0, "int32")), "int32"), tf.scalar(classes, "int32")),
  );
  const column = tf.reshape(wrapped, [...index.shape, 1]);
  const hot = tf.equal(column, tf.range(0, classes, 1, "int32"));
  const number = dtype === "float32" ? "float32" : "int32";
  const scaled = tf.add(tf.mul(tf.cast(hot, number), tf.scalar(on - off, number)), tf.scalar(off, number));
  const y = dtype === "bool" ? tf.cast(scaled, "bool") : scaled;
  const at = positiveAxis(axis, index.rank + 1);
  const order = [...index.shape.keys()];
  order.splice(at, 0, index.rank);
  return at === index.rank ? y : tf.transpose(y, order);
}
OneHot.facts = facts({ ...zero, frozen: { 2: "values of OneHot" } });

/** Ones on the k-th diagonal of a matrix of the input's shape. */
export function EyeLike(
  [x]: Inputs,
  { dtype, k = 0 }: { dtype?: number; k?: number },
  context: OperatorContext,
): Value {
  const [rows, columns] = dimsOf(x!) as [number, number];
  const eye = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) if (r + k >= 0 && r + k < columns) eye[r * columns + r + k] = 1;
  const like = isHost(x) ? x.dtype : ((x as tf.Tensor).dtype as "float32");
  const y = host(like, [rows, columns], eye);
  return dtype === undefined ? y : Cast([y], { to: dtype }, context);
}
EyeLike.facts = facts({ mixes: always, gradient: "zero" });

/** Cast to the element type of the second input. */
export const CastLike = ([x, like]: Inputs, _: object, context: OperatorContext): Value =>
  Cast([x], { to: isHost(like) ? like.dtype : (like as tf.Tensor).dtype }, context);
CastLike.facts = facts({ ...plain, tail: "transparent" });
