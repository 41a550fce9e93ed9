import { notTrainable } from "../../errors.ts";
import { gather } from "../../kernels/movement.ts";
import { tf } from "../../tf.ts";
import { along, facts } from "../operator.ts";
import { type Inputs, type OperatorContext, toTensor, type Value } from "../value.ts";

interface TfIdfAttributes {
  readonly max_gram_length: number;
  readonly max_skip_count: number;
  readonly min_gram_length: number;
  readonly mode: string;
  readonly ngram_counts: readonly number[];
  readonly ngram_indexes: readonly number[];
  readonly pool_int64s?: readonly number[];
  readonly weights?: readonly number[];
}
/**
 * Counts each n-gram of the pool in rows of token ids, with up to max_skip_count tokens skipped between its
 * tokens.
 */
export function TfIdfVectorizer([x]: Inputs, attributes: TfIdfAttributes, { where }: OperatorContext): Value {
  const { max_gram_length, max_skip_count, min_gram_length, mode, ngram_counts, ngram_indexes } = attributes;
  const { pool_int64s: pool, weights } = attributes;
  if (!pool) throw notTrainable("TEXT_TOKENS", `${where}: only integer tokens can be counted, not strings.`);
  const t = tf.cast(toTensor(x!), "int32");
  const length = t.shape[t.rank - 1]!;
  const rows = t.size / length;
  const tokens = tf.reshape(t, [rows, length]);
  const width = Math.max(...ngram_indexes) + 1;

  let counts: tf.Tensor = tf.zeros([rows, width]);
  let known = 0;
  for (let n = 1; n <= ngram_counts.length; n++) {
    const grams = pool.slice(ngram_counts[n - 1]!, ngram_counts[n] ?? pool.length);
    const count = grams.length / n;
    const columns = ngram_indexes.slice(known, known + count);
    known += count;
    if (count === 0 || n < min_gram_length || n > max_gram_length) continue;
    // Every window of n tokens, for every allowed distance between them; for n = 1 there is one distance.
    const windows: number[] = [];
    for (let skip = 0; skip <= (n === 1 ? 0 : max_skip_count); skip++)
      for (let start = 0; start + (n - 1) * (skip + 1) < length; start++)
        for (let k = 0; k < n; k++) windows.push(start + k * (skip + 1));
    if (windows.length === 0) continue;
    const seen = tf.reshape(gather(tokens, tf.tensor1d(Int32Array.from(windows), "int32"), 1), [
      rows,
      windows.length / n,
      1,
      n,
    ]);
    const wanted = tf.tensor(Int32Array.from(grams), [count, n], "int32");
    const matched = tf.min(tf.cast(tf.equal(seen, wanted), "float32"), -1);
    const place = new Float32Array(count * width);
    columns.forEach((column, i) => {
      place[i * width + column] = 1;
    });
    const found = tf.sum(matched, 1) as tf.Tensor2D;
    counts = tf.add(counts, tf.matMul(found, tf.tensor2d(place, [count, width])));
  }
  const shape = [...t.shape.slice(0, -1), width];
  if (mode === "TF") return tf.reshape(counts, shape);
  const perColumn = new Float32Array(width).fill(1);
  if (weights)
    ngram_indexes.forEach((column, i) => {
      perColumn[column] = weights[i]!;
    });
  const base = mode === "IDF" ? tf.cast(tf.greater(counts, tf.scalar(0)), "float32") : counts;
  return tf.reshape(tf.mul(base, tf.tensor1d(perColumn)), shape);
}
TfIdfVectorizer.facts = facts({ mixes: along(() => [-1]), gradient: "zero", note: "integer tokens" });
