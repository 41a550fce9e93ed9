import type { CaseInput, OperatorCase } from "./harness.ts";

const t = (...dims: number[]): CaseInput => ({ dims });
const int32 = (...data: number[]): CaseInput => ({ dims: [data.length], data, dtype: "int32" });
const int64 = (...data: number[]): CaseInput => ({ dims: [data.length], data, dtype: "int64" });
const bool = (...data: number[]): CaseInput => ({ dims: [data.length], data, dtype: "bool" });
const floats = (...data: number[]): CaseInput => ({ dims: [data.length], data });
const from = (low: number, high: number, ...dims: number[]): CaseInput => ({ dims, range: [low, high] });
const known = (input: CaseInput): CaseInput => ({ ...input, constant: true });
const scalar = (value: number, dtype: "float32" | "int32" | "int64" = "float32"): CaseInput => ({
  dims: [],
  data: [value],
  dtype,
});
const plain = (op: string, name: string, inputs: CaseInput[], extra: Partial<OperatorCase> = {}) => ({
  name,
  op,
  inputs,
  differentiate: [],
  ...extra,
});
/** The same with every input known while importing. */
const onHost = (c: OperatorCase): OperatorCase => ({
  ...c,
  name: `${c.name}, on the host`,
  inputs: c.inputs.map((input) => input && known(input)),
  differentiate: [],
  staysOnHost: true,
});
const both = (c: OperatorCase): OperatorCase[] => [c, onHost(c)];
const INFINITE = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 1];

/** Above 2^24, where float32 has no odd numbers left. */
const LARGE = int32(16777217, -16777219, 2147483647, -2147483647, 7);

const IS_INF: readonly Readonly<Record<string, number>>[] = [
  {},
  { detect_negative: 0 },
  { detect_positive: 0 },
  { detect_negative: 0, detect_positive: 0 },
];

export const cases: readonly OperatorCase[] = [
  // --- integers, exactly ---
  ...["Add", "Sub", "Mul"].flatMap((op) =>
    both(plain(op, "integers above 2^24", [LARGE, int32(3, 5, -1, 1, 2)])),
  ),
  ...both(plain("Mul", "a product that wraps around", [LARGE, int32(16777217, 5, 2147483647, 3, -2)])),
  onHost(plain("Cast", "to int8 wraps", [int32(200, -129, 5)], { attributes: { to: 3 } })),
  ...both(plain("Div", "integers above 2^24", [LARGE, int32(1, 1, 3, -3, 2)])),
  ...both(plain("Div", "truncates toward zero", [int32(7, -7, 7, -7), int32(2, 2, -2, -2)])),
  ...both(plain("Div", "int64 by a scalar", [int64(7, -8, 9), scalar(4, "int64")])),
  ...["Abs", "Neg", "Sign"].flatMap((op) => both(plain(op, "integers above 2^24", [LARGE]))),
  ...["Max", "Min"].flatMap((op) =>
    both(plain(op, "integers above 2^24", [LARGE, int32(16777216), int32(3)])),
  ),
  ...both(plain("Pow", "integers", [int32(2, -3, 5, 7), int32(3, 2, 0, 1)])),
  ...both(plain("Pow", "integer base, float exponent", [int32(2, 3, 5, 9), floats(3, 2, 1, 0.5)])),
  { name: "float base, integer exponent", op: "Pow", inputs: [floats(1.5, -2.5, 0.5), int64(3, 2, 1)] },
  ...[0, 1, 0.5, -1].map((y) => ({
    name: `exponent ${y}`,
    op: "Pow",
    inputs: [floats(0.5, 2, 1.2), known(scalar(y))],
    differentiate: y === 0 ? [] : [0],
  })),
  ...both(plain("Pow", "floats", [floats(1.5, 2), floats(2, -1)])),
  ...both(plain("Equal", "integers above 2^24", [LARGE, int32(16777216, -16777219, 2147483647, 0, 7)])),
  ...both(plain("Equal", "booleans", [bool(0, 0, 1, 1), bool(0, 1, 0, 1)])),
  ...["Greater", "Less", "GreaterOrEqual", "LessOrEqual"].flatMap((op) =>
    both(plain(op, "integers above 2^24", [LARGE, int32(16777216, -16777218, 2147483647, 0, 7)])),
  ),
  ...[0, 1].flatMap((fmod) =>
    both(
      plain("Mod", `int64, fmod ${fmod}`, [int64(7, -7, 7, -7, 6), int64(3, 3, -3, -3, -3)], {
        attributes: { fmod },
      }),
    ),
  ),
  ...both(plain("Mod", "integers above 2^24", [LARGE, scalar(1000, "int32")])),
  {
    name: "fmod, both operands, broadcast",
    op: "Mod",
    attributes: { fmod: 1 },
    // Quotients 3.3, −2.6, 4.3; 1.65, −1.3, 2.15: far from the jumps at whole numbers.
    inputs: [
      { dims: [1, 3], data: [3.3, -2.6, 4.3] },
      { dims: [2, 1], data: [1, 2] },
    ],
  },
  ...both(
    plain("Mod", "fmod of floats", [floats(5.5, -5.5, 0.3), floats(2, 2, -0.25)], {
      attributes: { fmod: 1 },
    }),
  ),
  ...["BitwiseAnd", "BitwiseOr", "BitwiseXor"].flatMap((op) =>
    both(plain(op, "negative and broadcast", [LARGE, scalar(0x0f0f0f0f, "int32")], { opset: 18 })),
  ),
  ...both(plain("BitwiseNot", "int32", [LARGE], { opset: 18 })),
  ...["LEFT", "RIGHT"].flatMap((direction) =>
    both(
      plain(
        "BitShift",
        direction,
        [
          { dims: [3], data: [16, 4, 1], dtype: "uint8" },
          { dims: [3], data: [1, 2, 3], dtype: "uint8" },
        ],
        { attributes: { direction } },
      ),
    ),
  ),
  {
    name: "wraps in eight bits",
    op: "BitShift",
    attributes: { direction: "LEFT" },
    inputs: [
      { dims: [2], data: [200, 255], dtype: "uint8", constant: true },
      { dims: [2], data: [1, 7], dtype: "uint8", constant: true },
    ],
    staysOnHost: true,
  },
  // --- host lane ---
  ...["And", "Or", "Xor"].flatMap((op) =>
    both(plain(op, "broadcast", [{ dims: [2, 1], data: [0, 1], dtype: "bool" }, bool(0, 1)])),
  ),
  onHost(plain("Not", "booleans", [bool(0, 1)])),
  onHost(plain("Erf", "both formulas", [floats(-7, -3, -2.4, -0.5, 0, 1e-3, 1, 2.4, 2.6, 4, 7)])),
  onHost(plain("Mean", "three", [floats(1, 2), floats(3, 5), scalar(2)])),
  onHost(plain("Sum", "three", [floats(1, 2), floats(3, 5), scalar(2)])),
  ...["Sqrt", "Exp", "Log", "Reciprocal", "Sin"].map((op) =>
    onHost(plain(op, "rounded to float32", [floats(0.1, 0.7, 3)])),
  ),
  onHost(plain("Round", "halves to even", [floats(0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999997)])),
  plain("Round", "halves to even", [floats(0.5, 1.5, 2.5, -0.5, -1.5, -2.5)]),
  onHost(plain("Clip", "integers", [int64(-5, 0, 9), scalar(-1, "int64"), scalar(4, "int64")])),
  ...[
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "ReduceMean",
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
  ].flatMap((op) => [
    onHost({
      name: "one axis of three",
      op,
      attributes: { axes: [1] },
      inputs: [{ dims: [2, 3, 2], data: [3, -1, 4, 1, -5, 9, 2, -6, 5, 3, 5, 8] }],
    }),
    onHost({
      name: "integers, two axes, not kept",
      op,
      opset: 18,
      attributes: { keepdims: 0 },
      inputs: [
        { dims: [2, 3, 2], data: [3, -1, 4, 1, -5, 9, 2, -6, 5, 3, 5, 8], dtype: "int32" },
        int64(0, -1),
      ],
    }),
  ]),
  ...["ReduceLogSum", "ReduceLogSumExp"].map((op) =>
    onHost({
      name: "one axis",
      op,
      attributes: { axes: [1] },
      inputs: [{ dims: [2, 3], data: [3, 1, 4, 1, 5, 2] }],
    }),
  ),
  onHost({
    name: "one axis",
    op: "ReduceSum",
    attributes: { keepdims: 0 },
    inputs: [{ dims: [2, 3], data: [3, 1, 4, 1, 5, 9], dtype: "int64" }, int64(1)],
  }),
  ...["ArgMax", "ArgMin"].flatMap((op) =>
    [0, 1].flatMap((select_last_index) =>
      both(
        plain(
          op,
          `integers, last of equals ${select_last_index}`,
          [{ dims: [2, 4], data: [1, 3, 3, 1, 2, 2, 2, 2], dtype: "int32" }],
          {
            attributes: { axis: -1, keepdims: 0, select_last_index },
          },
        ),
      ),
    ),
  ),
  // --- piecewise constant ---
  ...IS_INF.flatMap((attributes) =>
    both(plain("IsInf", JSON.stringify(attributes), [floats(...INFINITE)], { attributes, opset: 20 })),
  ),
  onHost(plain("IsNaN", "one of four", [floats(...INFINITE)])),
  ...[11, 13].flatMap((opset) => [
    plain("Hardmax", `opset ${opset}`, [t(2, 3, 4)], { opset }),
    plain("Hardmax", `opset ${opset}, axis 1`, [t(2, 3, 4)], { opset, attributes: { axis: 1 } }),
  ]),
  plain("Hardmax", "first of equals", [{ dims: [2, 3], data: [2, 2, 1, 0, 5, 5] }]),
  // --- choices ---
  {
    name: "bias and lambd",
    op: "Shrink",
    attributes: { lambd: 0.4, bias: 0.25 },
    inputs: [floats(-0.9, -0.5, -0.2, 0.2, 0.6)],
  },
  { name: "alpha", op: "Swish", opset: 24, attributes: { alpha: 0.7 }, inputs: [t(2, 3)] },
  { name: "default", op: "Swish", opset: 24, inputs: [t(2, 3)] },
  {
    name: "bounds from the data",
    op: "Clip",
    inputs: [floats(-0.9, -0.5, -0.2, 0.2, 0.6), scalar(-0.35), scalar(0.4)],
  },
  { name: "a lower bound from the data only", op: "Clip", inputs: [floats(-0.9, 0.6), scalar(-0.35)] },
  {
    name: "bounds the wrong way round",
    op: "Clip",
    inputs: [floats(-0.9, 0, 0.9), scalar(0.5), scalar(-0.5)],
    differentiate: [2],
  },
  plain("Clip", "integers", [LARGE, scalar(-16777217, "int32"), scalar(16777217, "int32")]),
  plain("Clip", "integers, constant bounds", [LARGE, known(scalar(-3, "int32")), known(scalar(9, "int32"))]),
  plain("Clip", "integers, no bounds", [LARGE]),
  onHost(plain("Clip", "attributes", [floats(-3, 0, 3)], { opset: 6, attributes: { min: -1, max: 2 } })),
  // --- types ---
  { name: "int64 to float", op: "CastLike", opset: 15, inputs: [int64(3, -4), t(1)], differentiate: [] },
  { name: "float to float", op: "Cast", attributes: { to: 1 }, inputs: [t(2)] },
  { name: "float to float", op: "CastLike", opset: 15, inputs: [t(2), known(t(1))] },
  onHost(plain("CastLike", "float to bool", [floats(0, -0.5, 2), bool(1)], { opset: 15 })),
  onHost(plain("Cast", "to int truncates", [floats(-1.7, 1.7)], { attributes: { to: 7 } })),
  onHost(plain("Cast", "to uint8", [int32(3, 250)], { attributes: { to: 2 } })),
  { name: "mask, opset 17", op: "Dropout", outputs: 2, inputs: [t(2, 3)] },
  { name: "mask, opset 10", op: "Dropout", opset: 10, outputs: 2, inputs: [t(2, 3)] },
  { name: "mask, opset 7", op: "Dropout", opset: 7, outputs: 2, inputs: [t(2, 3)] },
  // --- reductions ---
  ...["ReduceMax", "ReduceMin", "ReduceSum", "ReduceProd", "ReduceL1", "ReduceSumSquare", "ReduceMean"].map(
    (op) =>
      plain(op, "integers", [{ dims: [2, 3], data: [3, -1, 4, 1, -5, 9], dtype: "int32" }], { opset: 18 }),
  ),
  ...["ReduceMax", "ReduceMin", "ReduceSum"].map((op) =>
    plain(
      op,
      "integers above 2^24",
      [{ dims: [2, 2], data: [16777217, 16777219, -16777217, 3], dtype: "int32" }, known(int64(1))],
      {
        opset: 18,
      },
    ),
  ),
  ...["ReduceMax", "ReduceMin"].map((op) =>
    plain(op, "booleans", [{ dims: [3, 2], data: [0, 0, 0, 1, 1, 1], dtype: "bool" }, known(int64(1))], {
      opset: 20,
    }),
  ),
  ...["ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceProd", "ReduceL1", "ReduceMean"].flatMap(
    (op): OperatorCase[] => [
      {
        name: "no axes, nothing reduced",
        op,
        opset: 18,
        attributes: { noop_with_empty_axes: 1 },
        inputs: [{ dims: [2, 3], range: [0.5, 1.5] as const }],
      },
      {
        name: "no axes, everything reduced",
        op,
        opset: 18,
        attributes: { keepdims: 0 },
        inputs: [{ dims: [2, 3], range: [0.5, 1.5] as const }],
      },
      {
        name: "attribute, two axes",
        op,
        opset: 13,
        attributes: { axes: [0, -1], keepdims: 0 },
        inputs: [{ dims: [2, 3, 2], range: [0.5, 1.5] as const }],
      },
    ],
  ),
  ...[
    "ReduceMax",
    "ReduceMin",
    "ReduceSum",
    "ReduceProd",
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
    "ReduceLogSum",
    "ReduceLogSumExp",
  ].map((op) => plain(op, "an empty set", [{ dims: [2, 0, 3] }, known(int64(1))], { opset: 20 })),
  {
    name: "with a zero, and with two",
    op: "ReduceProd",
    attributes: { axes: [1] },
    inputs: [{ dims: [3, 3], data: [0.5, 0, 2, 0, 0, 3, 1, 2, -1] }],
  },
  {
    name: "large values do not overflow",
    op: "ReduceLogSumExp",
    inputs: [{ dims: [1, 3], data: [100, 101, 99] }],
  },
  plain("ReduceLogSumExp", "minus infinity", [floats(Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY)]),
  // --- cumulative ---
  ...[0, 1].flatMap((exclusive) =>
    [0, 1].flatMap((reverse) =>
      [0, 1, -1].map((axis) => ({
        name: `axis ${axis}, exclusive ${exclusive}, reverse ${reverse}`,
        op: "CumSum",
        attributes: { exclusive, reverse },
        inputs: [t(2, 3, 2), known(scalar(axis, "int64"))],
      })),
    ),
  ),
  plain("CumSum", "integers", [LARGE, known(scalar(0, "int32"))]),
  ...[0, 1].map((exclusive) =>
    onHost({
      name: `exclusive ${exclusive}, reverse`,
      op: "CumSum",
      attributes: { exclusive, reverse: 1 },
      inputs: [
        { dims: [2, 3, 2], data: [3, -1, 4, 1, -5, 9, 2, -6, 5, 3, 5, 8], dtype: "int64" },
        scalar(1, "int64"),
      ],
    }),
  ),
  ...[0, 1].flatMap((exclusive) =>
    [0, 1].map((reverse) => ({
      name: `exclusive ${exclusive}, reverse ${reverse}`,
      op: "CumProd",
      opset: 26,
      attributes: { exclusive, reverse },
      inputs: [from(0.5, 1.5, 2, 5, 2), known(scalar(-2, "int64"))],
    })),
  ),
  {
    name: "with a zero",
    op: "CumProd",
    opset: 26,
    inputs: [floats(2, -1, 0, 3, 0.5), known(scalar(0, "int64"))],
  },
  plain("CumProd", "integers", [int32(2, -3, 5, 7), known(scalar(0, "int64"))], { opset: 26 }),
  // --- bits and integer products ---
  ...[
    [6, floats(1, -2.5, 0)],
    [1, int32(1065353216, -1071644672, 0)],
  ].map(([to, input]) =>
    onHost(
      plain("BitCast", `to element type ${to}`, [input as CaseInput], {
        opset: 26,
        attributes: { to: to as number },
      }),
    ),
  ),
  plain("MatMul", "integers above 2^24", [
    { dims: [2, 3], data: [16777217, 2, -3, 4, 5, 6], dtype: "int32" },
    { dims: [3, 2], data: [1, 3, -5, 7, 11, 13], dtype: "int32" },
  ]),
  plain("MatMul", "integers, broadcast batches", [
    { dims: [2, 1, 2, 2], data: [1, 2, -3, 4, 5, 6, 7, 8], dtype: "int32" },
    { dims: [2, 2, 2], data: [1, 3, -5, 7, 11, 13, 2, 4], dtype: "int32" },
  ]),
];
