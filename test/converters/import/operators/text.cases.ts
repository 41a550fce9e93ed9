import type { OperatorCase } from "./harness.ts";

const pool = {
  ngram_counts: [0, 4],
  ngram_indexes: [0, 1, 2, 3, 4, 5, 6],
  pool_int64s: [2, 3, 5, 4, 5, 6, 7, 8, 6, 7],
};
const weights = [0.5, 1.5, 2.5, 0.25, 1.25, 0.75, 3.5];
const tokens = [1, 1, 3, 3, 3, 7, 8, 6, 7, 5, 6, 8];

const of = (
  name: string,
  dims: number[],
  [shortest, longest, skips]: readonly [number, number, number],
  mode = "TF",
): OperatorCase => ({
  name,
  op: "TfIdfVectorizer",
  opset: 9,
  inputs: [{ dims, data: tokens, dtype: "int32" }],
  attributes: {
    ...pool,
    mode,
    min_gram_length: shortest,
    max_gram_length: longest,
    max_skip_count: skips,
    ...(mode === "TF" ? {} : { weights }),
  },
});

export const cases: readonly OperatorCase[] = [
  of("pairs", [12], [2, 2, 0]),
  of("pairs with gaps, rows", [2, 6], [2, 2, 5]),
  of("single tokens and pairs", [2, 6], [1, 2, 5]),
  of("inverse document frequency", [2, 6], [1, 2, 1], "IDF"),
  of("both", [12], [1, 2, 0], "TFIDF"),
];
