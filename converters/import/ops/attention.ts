import { notTrainable } from "../../errors.ts";
import { expand, gather, slice, where } from "../../kernels/movement.ts";
import { softmax } from "../../kernels/reduction.ts";
import { tf } from "../../tf.ts";
import { alongAxesAfter, facts } from "../operator.ts";
import { type Inputs, type OperatorContext, toTensor, type Value } from "../value.ts";

type Shape4 = [number, number, number, number];

/** [batch, length, heads · size] → [batch, heads, length, size] */
export function splitHeads(x: tf.Tensor, heads: number): tf.Tensor {
  const [batch, length, width] = x.shape as [number, number, number];
  return tf.transpose(tf.reshape(x, [batch, length, heads, width / heads]), [0, 2, 1, 3]);
}
export function mergeHeads(x: tf.Tensor): tf.Tensor {
  const [batch, heads, length, size] = x.shape as Shape4;
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [batch, length, heads * size]);
}
/** Repeats each key or value head for the consecutive query heads that share it (grouped-query attention). */
function repeatHeads(x: tf.Tensor, times: number): tf.Tensor {
  if (times === 1) return x;
  const [batch, heads, length, size] = x.shape as Shape4;
  const copies = expand(tf.reshape(x, [batch, heads, 1, length, size]), [batch, heads, times, length, size]);
  return tf.reshape(copies, [batch, heads * times, length, size]);
}

/** 0 where allowed, −∞ elsewhere. */
const barrier = (allowed: tf.Tensor) =>
  where(allowed, tf.zeros(allowed.shape), tf.fill(allowed.shape, Number.NEGATIVE_INFINITY));
const column = (length: number) => tf.reshape(tf.range(0, length, 1, "int32"), [length, 1]);
const row = (length: number) => tf.range(0, length, 1, "int32");
/** Keys j ≤ i + offset; an offset per batch has shape [batch, 1, 1, 1]. */
const causal = (queries: number, keys: number, offset: tf.Tensor | number) =>
  barrier(
    tf.lessEqual(
      row(keys),
      tf.add(column(queries), typeof offset === "number" ? tf.scalar(offset, "int32") : offset),
    ),
  );

/** Softmax over the keys; a row without any key it may attend to is all zero. */
function attend(scores: tf.Tensor, bias: tf.Tensor | undefined): tf.Tensor {
  if (!bias) return softmax(scores, scores.rank - 1);
  const shape = [...bias.shape.slice(0, -1), 1];
  const open = expand(
    tf.reshape(tf.greater(tf.max(bias, bias.rank - 1, true), tf.scalar(Number.NEGATIVE_INFINITY)), [
      ...Array(scores.rank - shape.length).fill(1),
      ...shape,
    ]),
    scores.shape,
  );
  // Rows without an allowed key get finite scores first: the softmax of −∞ alone would be NaN, forward and
  // backward.
  const safe = where(open, tf.add(scores, bias), tf.zeros(scores.shape));
  return where(open, softmax(safe, scores.rank - 1), tf.zeros(scores.shape));
}

interface AttentionAttributes {
  readonly is_causal?: number;
  readonly kv_num_heads?: number;
  readonly q_num_heads?: number;
  readonly qk_matmul_output_mode?: number;
  readonly scale?: number;
  readonly softcap?: number;
}
/**
 * softmax(scale · Q Kᵀ, capped, + mask) V. Outputs Y, present_key, present_value, qk_matmul_output.
 * Inputs [batch, heads, length, size], or [batch, length, heads · size] with the numbers of heads as
 * attributes.
 */
export function Attention(
  [query, key, value, mask, pastKey, pastValue, nonpadLengths]: Inputs,
  {
    is_causal = 0,
    kv_num_heads,
    q_num_heads,
    qk_matmul_output_mode = 0,
    scale,
    softcap = 0,
  }: AttentionAttributes,
  { where: at }: OperatorContext,
): Value[] {
  const flat = toTensor(query!).rank === 3;
  if (flat && (!q_num_heads || !kv_num_heads))
    throw notTrainable("ATTENTION_HEADS", `${at}: inputs of rank 3 need q_num_heads and kv_num_heads.`);
  const heads = (x: Value, count: number | undefined) =>
    flat ? splitHeads(toTensor(x), count!) : toTensor(x);
  const q = heads(query!, q_num_heads);
  const newKeys = heads(key!, kv_num_heads);
  const presentKey = pastKey ? tf.concat([toTensor(pastKey), newKeys], 2) : newKeys;
  const newValues = heads(value!, kv_num_heads);
  const presentValue = pastValue ? tf.concat([toTensor(pastValue), newValues], 2) : newValues;
  const [batch, queryHeads, queries, size] = q.shape as Shape4;
  const keys = presentKey.shape[2]!;
  const times = queryHeads / presentKey.shape[1]!;

  let bias: tf.Tensor | undefined;
  const restrict = (more: tf.Tensor) => {
    bias = bias ? tf.add(bias, more) : more;
  };
  if (mask) {
    const given = toTensor(mask);
    const additive = given.dtype === "bool" ? barrier(given) : given;
    const missing = keys - additive.shape[additive.rank - 1]!;
    const strip = tf.fill([...additive.shape.slice(0, -1), missing], Number.NEGATIVE_INFINITY);
    restrict(missing > 0 ? tf.concat([additive, strip], additive.rank - 1) : additive);
  }
  const lengths = nonpadLengths && tf.reshape(tf.cast(toTensor(nonpadLengths), "int32"), [batch, 1, 1, 1]);
  if (is_causal) {
    const offset = pastKey
      ? toTensor(pastKey).shape[2]!
      : lengths
        ? tf.sub(lengths, tf.scalar(queries, "int32"))
        : 0;
    restrict(causal(queries, keys, offset));
  }
  if (lengths) restrict(barrier(tf.less(row(keys), lengths)));

  const factor = tf.scalar(scale ?? 1 / Math.sqrt(size));
  const raw = tf.mul(tf.matMul(q, repeatHeads(presentKey, times), false, true), factor);
  const capped = softcap > 0 ? tf.mul(tf.tanh(tf.div(raw, tf.scalar(softcap))), tf.scalar(softcap)) : raw;
  const weights = attend(capped, bias);
  const y = tf.matMul(weights, repeatHeads(presentValue, times));
  const shown = [raw, capped, bias ? tf.add(capped, bias) : capped, weights][qk_matmul_output_mode]!;
  return [flat ? mergeHeads(y) : y, presentKey, presentValue, shown];
}
Attention.facts = facts({
  mixes: alongAxesAfter(0),
  note: "opset 23 and 24, grouped heads, past keys and values",
});

interface RotaryAttributes {
  readonly interleaved?: number;
  readonly num_heads?: number;
  readonly rotary_embedding_dim?: number;
}
/** Rotates pairs of features by an angle per position: (x₁ cos − x₂ sin, x₁ sin + x₂ cos). */
export function RotaryEmbedding(
  [x, cosines, sines, positions]: Inputs,
  { interleaved = 0, num_heads = 0, rotary_embedding_dim = 0 }: RotaryAttributes,
  { where: at }: OperatorContext,
): Value {
  const input = toTensor(x!);
  const flat = input.rank === 3;
  if (flat && !num_heads)
    throw notTrainable("ROTARY_HEADS", `${at}: an input of rank 3 needs the attribute num_heads.`);
  const t = flat ? splitHeads(input, num_heads) : input;
  const [batch, heads, length, size] = t.shape as Shape4;
  const turned = rotary_embedding_dim || size;
  const half = turned / 2;
  const part = (from: number, count: number, step = 1) =>
    slice(t, [0, 0, 0, from], [batch, heads, length, count], [1, 1, 1, step]);
  const angles = (cache: Value | undefined) => {
    const c = toTensor(cache!);
    const picked = positions ? gather(c, tf.cast(toTensor(positions), "int32"), 0) : c;
    return tf.reshape(picked, [picked.size / (length * half), 1, length, half]);
  };
  const [cos, sin] = [angles(cosines), angles(sines)];
  const [first, second] = interleaved
    ? [part(0, half, 2), part(1, half, 2)]
    : [part(0, half), part(half, half)];
  const real = tf.sub(tf.mul(first, cos), tf.mul(second, sin));
  const imaginary = tf.add(tf.mul(first, sin), tf.mul(second, cos));
  const rotated = interleaved
    ? tf.reshape(tf.concat([tf.expandDims(real, 4), tf.expandDims(imaginary, 4)], 4), [
        batch,
        heads,
        length,
        turned,
      ])
    : tf.concat([real, imaginary], 3);
  const y = turned < size ? tf.concat([rotated, part(turned, size - turned)], 3) : rotated;
  return flat ? mergeHeads(y) : y;
}
RotaryEmbedding.facts = facts({ mixes: alongAxesAfter(0) });
