import { LARGEST_FLOAT32 } from "../../dims.ts";
import { notTrainable } from "../../errors.ts";
import { gather, where } from "../../kernels/movement.ts";
import { softmax } from "../../kernels/reduction.ts";
import type { WindowAttributes } from "../../kernels/window.ts";
import { tf } from "../../tf.ts";
import { along, alongAxesAfter, facts, plain, unlessBatchIn } from "../operator.ts";
import { type Inputs, type OperatorContext, toTensor, type Value } from "../value.ts";
import * as activation from "./activation.ts";
import * as attention from "./attention.ts";
import { Conv } from "./convolution.ts";
import { Gemm, matMul } from "./linalg.ts";
import * as normalization from "./normalization.ts";

/** com.microsoft: fused operators in optimised exports. */
export const Gelu = ([x]: Inputs): Value => activation.Gelu([x], {});
Gelu.facts = plain;
export const FastGelu = ([x, bias]: Inputs): Value =>
  activation.Gelu([bias ? tf.add(toTensor(x!), toTensor(bias)) : x], { approximate: "tanh" });
FastGelu.facts = plain;
export const BiasGelu = ([x, bias]: Inputs): Value =>
  activation.Gelu([tf.add(toTensor(x!), toTensor(bias!))], {});
BiasGelu.facts = plain;
export const QuickGelu = ([x]: Inputs, { alpha = 1.702 }: { alpha?: number }): Value =>
  activation.Swish([x], { alpha });
QuickGelu.facts = plain;

/** The activation of a fused operator; alpha and beta are the attributes of the operator of that name. */
function activated(
  x: Value,
  name: string,
  alpha: number | undefined,
  beta: number | undefined,
  at: string,
): Value {
  const given = { ...(alpha === undefined ? {} : { alpha }), ...(beta === undefined ? {} : { beta }) };
  switch (name) {
    case "":
      return x;
    case "Relu":
      return activation.Relu([x]);
    case "Sigmoid":
      return activation.Sigmoid([x], {});
    case "Tanh":
      return activation.Tanh([x], {});
    case "LeakyRelu":
      return activation.LeakyRelu([x], given);
    case "Elu":
      return activation.Elu([x], given);
    case "HardSigmoid":
      return activation.HardSigmoid([x], given);
    case "Softplus":
      return activation.Softplus([x], {});
    case "Softsign":
      return activation.Softsign([x], {});
    case "Clip":
      return activation.clip(toTensor(x), alpha, beta);
    default:
      throw notTrainable("FUSED_ACTIVATION", `${at}: the fused activation "${name}" is not known.`);
  }
}

/** With `transBatch` the rows are the first axis, before the batch axes. */
const rowsFirst = (x: tf.Tensor, moved: number | undefined) =>
  moved && x.rank > 2 ? tf.transpose(x, [...x.shape.map((_, i) => i).slice(1, -1), 0, x.rank - 1]) : x;
interface FusedMatMulAttributes {
  readonly alpha?: number;
  readonly transA?: number;
  readonly transB?: number;
  readonly transBatchA?: number;
  readonly transBatchB?: number;
}
export function FusedMatMul(
  [a, b]: Inputs,
  { alpha = 1, transA = 0, transB = 0, transBatchA, transBatchB }: FusedMatMulAttributes,
): Value {
  const [left, right] = [rowsFirst(toTensor(a!), transBatchA), rowsFirst(toTensor(b!), transBatchB)];
  const y = matMul(left, right, Boolean(transA), Boolean(transB));
  return alpha === 1 ? y : tf.mul(y, tf.scalar(alpha));
}
FusedMatMul.facts = plain;

/** Conv, plus Z, then an activation. */
export function FusedConv(
  [x, w, b, z]: Inputs,
  {
    activation: name = "",
    activation_params: [alpha, beta] = [],
    ...rest
  }: WindowAttributes & { group?: number; activation?: string; activation_params?: readonly number[] },
  context: OperatorContext,
): Value {
  const y = toTensor(Conv([x, w, b], rest, context));
  return activated(z ? tf.add(y, toTensor(z)) : y, name, alpha, beta, context.where);
}
FusedConv.facts = facts({ mixes: unlessBatchIn(0, -1, -1, 0) });

interface FusedGemmAttributes {
  readonly activation?: string;
  readonly activation_alpha?: number;
  readonly activation_beta?: number;
  readonly alpha?: number;
  readonly beta?: number;
  readonly transA?: number;
  readonly transB?: number;
}
export const FusedGemm = (
  inputs: Inputs,
  { activation: name = "", activation_alpha, activation_beta, ...rest }: FusedGemmAttributes,
  { where: at }: OperatorContext,
): Value => activated(Gemm(inputs, rest), name, activation_alpha, activation_beta, at);
FusedGemm.facts = facts({ ...plain, ignores: Gemm.facts.ignores! });

/** Outputs: normalised, mean, inverse deviation, input + skip + bias. */
export function SkipLayerNormalization(
  [x, skip, gamma, beta, bias]: Inputs,
  { epsilon = 1e-5 }: { epsilon?: number },
  context: OperatorContext,
): Value[] {
  const sum = summed(x, skip, bias);
  const [y, mean, inverse] = normalization.LayerNormalization([sum, gamma, beta], { epsilon }, context);
  return [y!, mean ?? sum, inverse ?? sum, sum];
}
SkipLayerNormalization.facts = facts({ mixes: along(() => [-1]) });
export function SkipSimplifiedLayerNormalization(
  [x, skip, gamma, bias]: Inputs,
  { epsilon = 1e-5 }: { epsilon?: number },
): Value[] {
  const sum = summed(x, skip, bias);
  const [y, inverse] = normalization.SimplifiedLayerNormalization([sum, gamma], { epsilon }) as [
    Value,
    Value,
  ];
  return [y, tf.zerosLike(toTensor(inverse)), inverse, sum];
}
SkipSimplifiedLayerNormalization.facts = facts({ mixes: along(() => [-1]) });
const summed = (x: Value | undefined, skip: Value | undefined, bias: Value | undefined): tf.Tensor => {
  const sum = tf.add(toTensor(x!), toTensor(skip!));
  return bias ? tf.add(sum, toTensor(bias)) : sum;
};

/** Outputs: normalised sum of the embeddings, number of unmasked tokens per row, the sum itself. */
export function EmbedLayerNormalization(
  [ids, segments, words, places, kinds, gamma, beta, mask, placeIds]: Inputs,
  { epsilon = 1e-12 }: { epsilon?: number },
  context: OperatorContext,
): Value[] {
  const tokens = tf.cast(toTensor(ids!), "int32");
  const [batch, length] = tokens.shape as [number, number];
  const positions = placeIds ? tf.cast(toTensor(placeIds), "int32") : tf.range(0, length, 1, "int32");
  let sum = tf.add(gather(toTensor(words!), tokens, 0), gather(toTensor(places!), positions, 0));
  if (segments && kinds) sum = tf.add(sum, gather(toTensor(kinds), tf.cast(toTensor(segments), "int32"), 0));
  const [y] = normalization.LayerNormalization([sum, gamma, beta], { epsilon }, context);
  const counts = mask ? tf.sum(tf.cast(toTensor(mask), "int32"), 1) : tf.zeros<tf.Rank>([batch], "int32");
  return [y!, counts, sum];
}
EmbedLayerNormalization.facts = facts({
  mixes: unlessBatchIn(0, 0, -1, -1, -1, -1, -1, 0, 0),
  note: "ids are data, embeddings are trained",
});

/** Added to a score to mask it: the lowest finite number, as −∞ could give NaN. */
const FORBIDDEN = -LARGEST_FLOAT32;

/** A key mask as numbers to add to scores [batch, heads, queries, keys]. */
function maskBias(mask: tf.Tensor, batch: number, keys: number, filter: number, at: string): tf.Tensor {
  const choose = (allowed: tf.Tensor) =>
    where(allowed, tf.zeros(allowed.shape), tf.fill(allowed.shape, filter));
  const m = tf.cast(mask, "int32");
  const order = tf.range(0, keys, 1, "int32");
  if (m.rank === 1) {
    const ends = tf.reshape(tf.slice(m, [0], [batch]), [batch, 1, 1, 1]);
    const before = tf.less(order, ends);
    if (m.size === batch) return choose(before);
    if (m.size === 2 * batch) {
      const starts = tf.reshape(tf.slice(m, [batch], [batch]), [batch, 1, 1, 1]);
      return choose(tf.logicalAnd(before, tf.greaterEqual(order, starts)));
    }
  }
  const positive = tf.greater(m, tf.scalar(0, "int32"));
  if (m.rank === 2) return choose(tf.reshape(positive, [batch, 1, 1, keys]));
  if (m.rank === 3) return choose(tf.reshape(positive, [batch, 1, m.shape[1]!, keys]));
  throw notTrainable("ATTENTION_MASK", `${at}: a mask of shape [${mask.shape}] is not supported.`);
}

interface HeadAttributes {
  readonly num_heads: number;
  readonly mask_filter_value?: number;
  readonly scale?: number;
  readonly unidirectional?: number;
}
/** softmax(scale · Q Kᵀ + masks) V on [batch, heads, length, size]. */
function attend(
  { q, k, v }: Readonly<Record<"q" | "k" | "v", tf.Tensor>>,
  { mask, bias }: Readonly<Record<"mask" | "bias", Value | undefined>>,
  { mask_filter_value = -10000, scale, unidirectional = 0 }: HeadAttributes,
  at: string,
): tf.Tensor {
  const [batch, , queries, size] = q.shape as [number, number, number, number];
  const keys = k.shape[2]!;
  let scores = tf.mul(tf.matMul(q, k, false, true), tf.scalar(scale ?? 1 / Math.sqrt(size)));
  if (mask) scores = tf.add(scores, maskBias(toTensor(mask), batch, keys, mask_filter_value, at));
  if (bias) scores = tf.add(scores, toTensor(bias));
  if (unidirectional) {
    const allowed = tf.lessEqual(
      tf.range(0, keys, 1, "int32"),
      tf.add(tf.reshape(tf.range(0, queries, 1, "int32"), [queries, 1]), tf.scalar(keys - queries, "int32")),
    );
    const closed = tf.fill(allowed.shape, FORBIDDEN);
    scores = tf.maximum(
      tf.add(scores, where(allowed, tf.zeros(allowed.shape), closed)),
      tf.fill(scores.shape, FORBIDDEN),
    );
  }
  return attention.mergeHeads(tf.matMul(softmax(scores, 3), v));
}

/**
 * One product gives queries, keys and values: weights [features, q + k + v]. Outputs Y, present [2, batch,
 * heads, keys, size].
 */
export function Attention(
  [x, weights, bias, mask, past, attentionBias]: Inputs,
  {
    qkv_hidden_sizes,
    do_rotary = 0,
    ...rest
  }: HeadAttributes & { qkv_hidden_sizes?: readonly number[]; do_rotary?: number },
  { where: at, node }: OperatorContext,
): Value[] {
  if (do_rotary) throw notTrainable("ATTENTION_ROTARY", `${at}: do_rotary=1 is not supported.`);
  const product = matMul(toTensor(x!), toTensor(weights!));
  const all = bias ? tf.add(product, toTensor(bias)) : product;
  const width = all.shape[2]!;
  const sizes = qkv_hidden_sizes ? [...qkv_hidden_sizes] : [width / 3, width / 3, width / 3];
  const [q, newKeys, newValues] = tf
    .split(all, sizes, 2)
    .map((part) => attention.splitHeads(part, rest.num_heads)) as [tf.Tensor, tf.Tensor, tf.Tensor];
  let [k, v] = [newKeys, newValues];
  if (past) {
    const [pastKeys, pastValues] = tf.unstack(toTensor(past)) as [tf.Tensor, tf.Tensor];
    [k, v] = [tf.concat([pastKeys, k], 2), tf.concat([pastValues, v], 2)];
  }
  const y = attend({ q, k, v }, { mask, bias: attentionBias }, rest, at);
  return node.outputs[1] ? [y, tf.stack([k, v])] : [y];
}
Attention.facts = facts({
  // Input past is [2, batch, …]: keys and values are its first axis.
  mixes: unlessBatchIn(0, -1, -1, 0, 1, 0),
  note: "do_rotary=1 is refused",
});

/**
 * Queries, keys and values [batch, length, heads · size]; the bias is the concatenation of theirs. Outputs Y,
 * present_key, present_value.
 */
export function MultiHeadAttention(
  [query, key, value, bias, mask, attentionBias, pastKey, pastValue]: Inputs,
  attributes: HeadAttributes,
  { where: at }: OperatorContext,
): Value[] {
  const inputs = [query, key, value].map((input) => input && toTensor(input));
  if (!inputs.every((input) => input?.rank === 3))
    throw notTrainable("ATTENTION_PACKED", `${at}: packed queries, keys and values are not supported.`);
  const parts = inputs as tf.Tensor[];
  const biases = bias
    ? tf.split(
        toTensor(bias),
        parts.map((part) => part.shape[2]!),
        0,
      )
    : [];
  const [q, newKeys, newValues] = parts.map((part, i) =>
    attention.splitHeads(biases[i] ? tf.add(part, biases[i]) : part, attributes.num_heads),
  ) as [tf.Tensor, tf.Tensor, tf.Tensor];
  const k = pastKey ? tf.concat([toTensor(pastKey), newKeys], 2) : newKeys;
  const v = pastValue ? tf.concat([toTensor(pastValue), newValues], 2) : newValues;
  return [attend({ q, k, v }, { mask, bias: attentionBias }, attributes, at), k, v];
}
MultiHeadAttention.facts = facts({
  mixes: alongAxesAfter(0),
  note: "queries, keys and values apart; packed ones are refused",
});

/**
 * As in ai.onnx, but positions come before the caches; a single position is that of the first element of
 * every row.
 */
export function RotaryEmbedding(
  [x, positions, cosines, sines]: Inputs,
  attributes: { num_heads?: number; interleaved?: number; rotary_embedding_dim?: number },
  context: OperatorContext,
): Value {
  const input = toTensor(x!);
  const [half, whole] = [toTensor(cosines!).shape[1]!, input.shape[input.rank - 1]!];
  const length = input.shape[input.rank - 2]!;
  const given = tf.cast(toTensor(positions!), "int32");
  const all =
    given.size === 1 && given.rank === 1
      ? tf.reshape(tf.add(tf.range(0, length, 1, "int32"), given), [1, length])
      : given;
  // Without num_heads, the caches determine the size of a head.
  const num_heads = attributes.num_heads || (input.rank === 3 ? whole / (2 * half) : 0);
  return attention.RotaryEmbedding([x, cosines, sines, all], { ...attributes, num_heads }, context);
}
RotaryEmbedding.facts = facts({ mixes: alongAxesAfter(0) });
