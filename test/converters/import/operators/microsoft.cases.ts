import { elementCount } from "../../../../converters/dims.ts";
import type { AttributeValue } from "../../../../converters/onnx/model.ts";
import type { CaseInput, OperatorCase } from "./harness.ts";

const t = (...dims: number[]): CaseInput => ({ dims });
const from = (low: number, high: number, ...dims: number[]): CaseInput => ({ dims, range: [low, high] });
const int32 = (dims: number[], data: number[]): CaseInput => ({ dims, data, dtype: "int32" });
const known = (input: CaseInput): CaseInput => ({ ...input, constant: true });
const number = (value: number): CaseInput => ({ dims: [], data: [value] });
const spread = (...dims: number[]): CaseInput => ({
  dims,
  data: Array.from({ length: elementCount(dims) }, (_, i) => ((i * 7) % 11) * 0.3 - 1.5),
});
const of = (
  op: string,
  name: string,
  inputs: (CaseInput | undefined)[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
  extra: Partial<OperatorCase> = {},
): OperatorCase => ({ name, op, domain: "com.microsoft", inputs, attributes, ...extra });

const ACTIVATIONS: readonly (readonly [string, readonly number[]])[] = [
  ["Tanh", []],
  ["Sigmoid", []],
  ["LeakyRelu", [0.3]],
  ["HardSigmoid", [0.3, 0.4]],
];
const heads = { num_heads: 2 };
const packed = [t(2, 3, 4), t(4, 12), t(12)];
const apart = [t(2, 3, 4), t(2, 5, 4), t(2, 5, 4)];

export const cases: readonly OperatorCase[] = [
  of("FusedMatMul", "rows before the batch", [t(3, 2, 4), t(2, 4, 2)], { transBatchA: 1 }),
  of("FusedMatMul", "both, transposed", [t(4, 2, 3), t(2, 2, 4)], {
    transBatchA: 1,
    transA: 1,
    transBatchB: 1,
    transB: 1,
  }),
  of("FusedMatMul", "matrix on the right, transposed", [t(2, 3, 4), t(2, 4)], { transB: 1 }),
  of("FusedMatMul", "one by batch, transposed", [t(2, 4, 3), t(4, 2)], { transA: 1 }),
  ...ACTIVATIONS.map(([activation, activation_params]) =>
    of("FusedConv", activation, [t(1, 2, 4, 4), t(2, 2, 3, 3), t(2)], {
      activation,
      pads: [1, 1, 1, 1],
      ...(activation_params.length > 0 ? { activation_params: [...activation_params] } : {}),
    }),
  ),
  of("FusedConv", "sum and group", [t(1, 4, 3, 3), t(4, 2, 1, 1), t(4), t(1, 4, 3, 3)], {
    activation: "Tanh",
    group: 2,
  }),
  ...ACTIVATIONS.map(([activation, [activation_alpha, activation_beta]]) =>
    // The bias keeps the sums away from the corners.
    of(
      "FusedGemm",
      activation,
      [from(-0.4, 0.4, 3, 2), from(-0.4, 0.4, 4, 2), { dims: [4], data: [-3, 3, -3, 3] }],
      {
        activation,
        transB: 1,
        alpha: 0.7,
        beta: 0.5,
        ...(activation_alpha === undefined ? {} : { activation_alpha }),
        ...(activation_beta === undefined ? {} : { activation_beta }),
      },
    ),
  ),
  of("FusedGemm", "Relu", [from(0.2, 1, 3, 2), from(0.2, 1, 2, 4)], { activation: "Relu" }),
  of("SkipLayerNormalization", "all inputs", [spread(2, 3, 4), t(2, 3, 4), from(0.5, 1.5, 4), t(4), t(4)]),
  of("SkipLayerNormalization", "no beta", [spread(2, 3, 4), t(2, 3, 4), from(0.5, 1.5, 4)], {
    epsilon: 0.01,
  }),
  of("SkipSimplifiedLayerNormalization", "all inputs", [
    spread(2, 3, 4),
    t(2, 3, 4),
    from(0.5, 1.5, 4),
    t(4),
  ]),
  of(
    "EmbedLayerNormalization",
    "words, places, kinds, mask",
    [
      int32([2, 3], [1, 4, 1, 0, 2, 2]),
      int32([2, 3], [0, 1, 1, 0, 0, 1]),
      spread(5, 4),
      t(6, 4),
      t(2, 4),
      from(0.5, 1.5, 4),
      t(4),
      int32([2, 3], [1, 1, 0, 1, 0, 0]),
    ],
    { epsilon: 0.01 },
    { outputs: 2 },
  ),
  of(
    "EmbedLayerNormalization",
    "given places, no kinds",
    [
      int32([1, 3], [1, 4, 1]),
      undefined,
      spread(5, 4),
      t(6, 4),
      undefined,
      from(0.5, 1.5, 4),
      t(4),
      undefined,
      int32([1, 3], [5, 2, 0]),
    ],
    { epsilon: 0.01 },
    { outputs: 2 },
  ),
  of("Attention", "no mask", packed, heads),
  of("Attention", "causal", packed, { ...heads, unidirectional: 1 }),
  of("Attention", "mask of tokens", [...packed, int32([2, 3], [1, 1, 0, 1, 0, 1])], heads),
  of("Attention", "mask of lengths", [...packed, int32([2], [2, 3])], heads),
  of(
    "Attention",
    "mask of pairs, causal",
    [...packed, int32([2, 3, 3], [1, 0, 1, 1, 1, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1])],
    {
      ...heads,
      unidirectional: 1,
    },
  ),
  of("Attention", "scale and bias of scores", [...packed, undefined, undefined, t(2, 2, 3, 3)], {
    ...heads,
    scale: 0.3,
  }),
  of("Attention", "past", [...packed, undefined, t(2, 2, 2, 2, 2)], heads, { outputs: 2 }),
  of("Attention", "unequal sizes", [t(2, 3, 4), t(4, 14), t(14)], { ...heads, qkv_hidden_sizes: [4, 4, 6] }),
  of("MultiHeadAttention", "no bias", apart, heads),
  of(
    "MultiHeadAttention",
    "bias and mask of tokens",
    [...apart, t(12), int32([2, 5], [1, 1, 1, 0, 0, 1, 1, 1, 1, 1])],
    heads,
  ),
  of("MultiHeadAttention", "causal", [t(2, 3, 4), t(2, 3, 4), t(2, 3, 4)], { ...heads, unidirectional: 1 }),
  of("MultiHeadAttention", "bias of scores", [...apart, undefined, undefined, t(1, 2, 3, 5)], {
    ...heads,
    scale: 0.4,
  }),
  ...[0, 1].flatMap((interleaved) => [
    of(
      "RotaryEmbedding",
      `positions, interleaved ${interleaved}`,
      [t(1, 3, 8), { dims: [1, 3], data: [4, 0, 2], dtype: "int64" }, t(6, 2), t(6, 2)],
      { interleaved },
    ),
    of(
      "RotaryEmbedding",
      `counted on, interleaved ${interleaved}`,
      [t(1, 2, 3, 4), { dims: [1], data: [2], dtype: "int64" }, t(6, 2), t(6, 2)],
      { interleaved },
    ),
  ]),
  of("GatherND", "rows", [t(3, 2), { dims: [2, 1], data: [2, 0], dtype: "int64" }]),
  of("Trilu", "lower, shifted", [t(2, 3, 3), known({ dims: [], data: [1], dtype: "int64" })], { upper: 0 }),
  of("Pad", "constant", [
    t(2, 3),
    known({ dims: [4], data: [0, 1, 0, 2], dtype: "int64" }),
    known(number(0.5)),
  ]),
  of("Range", "no step", [known(number(1)), known(number(4))]),
  of("Range", "backwards", [known(number(4)), known(number(1)), known(number(-1))]),
  of("ExpandDims", "from behind", [t(2, 3), known({ dims: [], data: [-1], dtype: "int32" })]),
  of("Inverse", "one matrix", [{ dims: [3, 3], data: [2, 0.5, -1, 0.3, -1.5, 0.7, 1, 0.2, 3] }]),
  of("Inverse", "a batch, pivots needed", [{ dims: [2, 2, 2], data: [0.4, 2, 3, 1, -1, 0.5, 2, 1.5] }]),
  of("CDist", "squares", [t(3, 4), t(2, 4)], { metric: "sqeuclidean" }),
  of("CDist", "distances", [t(3, 4), t(2, 4)], { metric: "euclidean" }),
];
