import type { CaseInput, OperatorCase } from "./harness.ts";

const t = (...dims: number[]): CaseInput => ({ dims });
const known = (input: CaseInput): CaseInput => ({ ...input, constant: true });
const positions = (...data: number[]): CaseInput => ({ dims: [1, data.length], data, dtype: "int64" });
const einsum = (equation: string, ...inputs: CaseInput[]): OperatorCase => ({
  name: equation,
  op: "Einsum",
  attributes: { equation },
  inputs,
});
const attention = (
  name: string,
  inputs: (CaseInput | undefined)[],
  attributes: OperatorCase["attributes"] = {},
  extra: Partial<OperatorCase> = {},
): OperatorCase => ({ name, op: "Attention", opset: 23, inputs, attributes, ...extra });
const [q, k, v] = [t(1, 2, 3, 4), t(1, 2, 5, 4), t(1, 2, 5, 3)];

export const cases: readonly OperatorCase[] = [
  // --- Einsum ---
  einsum("ij,jk->ik", t(2, 3), t(3, 4)),
  einsum("ij,jk", t(2, 3), t(3, 4)),
  einsum("ij->ji", t(2, 3)),
  einsum("ba", t(2, 3)),
  einsum("ij->i", t(2, 3)),
  einsum("ij->", t(2, 3)),
  einsum("ii->i", t(3, 3)),
  einsum("ii", t(3, 3)),
  einsum("bii->bi", t(2, 3, 3)),
  einsum("...ii->...i", t(2, 3, 3)),
  einsum("i,i->", t(3), t(3)),
  einsum("i,j->ij", t(3), t(2)),
  einsum("bij, bjk -> bik", t(2, 2, 3), t(2, 3, 2)),
  einsum("...ij,...jk->...ik", t(2, 2, 3), t(2, 3, 2)),
  einsum("...ij,...jk", t(2, 1, 2, 3), t(2, 1, 3, 2)),
  einsum("bhid,bhjd->bhij", t(1, 2, 3, 2), t(1, 2, 2, 2)),
  einsum("ijk,kl,lm->im", t(2, 2, 3), t(3, 2), t(2, 2)),
  einsum("bn,anm,bm->ba", t(2, 3), t(2, 3, 2), t(2, 2)),
  einsum("ij,ij->ij", t(2, 3), t(2, 3)),
  // --- Det ---
  { name: "2×2", op: "Det", inputs: [t(2, 2)] },
  { name: "batch of 3×3", op: "Det", inputs: [t(2, 3, 3)] },
  {
    name: "singular",
    op: "Det",
    inputs: [{ dims: [2, 2], data: [1, 2, 2, 4] }],
  },
  // --- Attention ---
  attention("heads apart", [q, k, v]),
  attention("scaled and capped", [q, k, v], { scale: 0.3, softcap: 2 }),
  attention("causal", [q, k, v], { is_causal: 1 }),
  attention("mask of numbers", [q, k, v, t(3, 5)]),
  attention("mask of booleans", [
    q,
    k,
    v,
    { dims: [3, 5], data: [1, 0, 1, 1, 1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 1], dtype: "bool" },
  ]),
  attention("heads in one axis, shared keys", [t(2, 3, 8), t(2, 4, 4), t(2, 4, 4)], {
    q_num_heads: 4,
    kv_num_heads: 2,
  }),
  attention("past keys and values", [q, k, v, undefined, t(1, 2, 2, 4), t(1, 2, 2, 3)], {}, { outputs: 3 }),
  ...[0, 1, 2, 3].map((qk_matmul_output_mode) => ({
    ...attention(`scores shown, mode ${qk_matmul_output_mode}`, [q, k, v, t(3, 5)], {
      qk_matmul_output_mode,
    }),
    // present_key and present_value come before the scores.
    inputs: [q, k, v, t(3, 5), t(1, 2, 0, 4), t(1, 2, 0, 3)],
    outputs: 4,
    differentiate: [0, 1, 2, 3],
  })),
  // --- RotaryEmbedding ---
  ...[0, 1].flatMap((interleaved): OperatorCase[] => [
    {
      name: `interleaved ${interleaved}`,
      op: "RotaryEmbedding",
      opset: 23,
      attributes: { interleaved },
      inputs: [t(1, 2, 3, 4), t(5, 2), t(5, 2), positions(4, 0, 2)],
    },
    {
      name: `interleaved ${interleaved}, part of the features, heads in one axis`,
      op: "RotaryEmbedding",
      opset: 23,
      attributes: { interleaved, num_heads: 2, rotary_embedding_dim: 4 },
      inputs: [t(2, 3, 12), t(2, 3, 2), t(2, 3, 2)],
    },
  ]),
  {
    name: "known cache",
    op: "RotaryEmbedding",
    opset: 23,
    inputs: [t(1, 2, 3, 4), known(t(1, 3, 2)), known(t(1, 3, 2))],
  },
];
