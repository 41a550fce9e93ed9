import { elementCount } from "../../../../converters/dims.ts";
import type { CaseInput, OperatorCase } from "./harness.ts";

const t = (...dims: number[]): CaseInput => ({ dims });
const from = (low: number, high: number, ...dims: number[]): CaseInput => ({ dims, range: [low, high] });
const ints = (...data: number[]): CaseInput => ({
  dims: [data.length],
  data,
  dtype: "int64",
  constant: true,
});
const scalar = (value: number): CaseInput => ({ dims: [], data: [value], constant: true });
/** Distinct values 0.1 apart in a scrambled order: extremes stay apart under the differences. */
const distinct = (...dims: number[]): CaseInput => {
  const total = elementCount(dims);
  // 7 is coprime to every total used here, so i·7 mod total visits every place.
  return { dims, data: Array.from({ length: total }, (_, i) => (((i * 7) % total) - total / 2) * 0.1) };
};
/** Away from the kink at 0. */
const kinked: CaseInput = { dims: [2, 4], data: [-0.9, -0.5, -0.3, -0.1, 0.1, 0.3, 0.5, 0.9] };
const one = (op: string, input: CaseInput = t(2, 3), extra: Partial<OperatorCase> = {}): OperatorCase => ({
  name: "default",
  op,
  inputs: [input],
  ...extra,
});

export const cases: readonly OperatorCase[] = [
  // element-wise
  ...["Add", "Sub", "Mul"].map((op) => ({ name: "broadcast", op, inputs: [t(2, 3, 4), t(3, 1)] })),
  { name: "broadcast", op: "Div", inputs: [t(2, 3), from(1, 2, 3)] },
  { name: "general", op: "Pow", inputs: [from(0.5, 2, 2, 3), from(-1, 2, 3)], differentiate: [0, 1] },
  { name: "square", op: "Pow", inputs: [t(2, 3), scalar(2)] },
  { name: "cube", op: "Pow", inputs: [t(2, 3), scalar(3)] },
  one("Sqrt", from(0.5, 2, 2, 3)),
  one("Log", from(0.5, 2, 2, 3)),
  one("Reciprocal", from(0.5, 2, 2, 3)),
  ...[
    "Exp",
    "Neg",
    "Sin",
    "Cos",
    "Tan",
    "Sinh",
    "Cosh",
    "Asinh",
    "Atan",
    "Erf",
    "Sigmoid",
    "Tanh",
    "Softplus",
    "Mish",
  ].map((op) => one(op, t(2, 3), op === "Mish" ? { opset: 18 } : {})),
  ...["Asin", "Acos", "Atanh"].map((op) => one(op, from(-0.8, 0.8, 2, 3))),
  one("Acosh", from(1.5, 3, 2, 3)),
  ...["Abs", "Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Softsign"].map((op) => one(op, kinked)),
  ...["Floor", "Ceil", "Round", "Sign"].map((op) => one(op, from(-3, 3, 2, 3), { differentiate: [] })),
  { name: "three", op: "Max", inputs: [t(2, 3), from(-1, 1, 3), t(2, 1)] },
  {
    name: "two",
    op: "Min",
    inputs: [
      { dims: [3], data: [0.1, 0.9, -0.5] },
      { dims: [3], data: [0.5, 0.2, 0.4] },
    ],
  },
  { name: "three", op: "Sum", inputs: [t(2, 3), t(3), t(2, 1)] },
  { name: "two", op: "Mean", inputs: [t(2, 3), t(3)] },
  // activation
  { name: "alpha", op: "LeakyRelu", attributes: { alpha: 0.3 }, inputs: [kinked] },
  { name: "alpha", op: "Elu", attributes: { alpha: 0.7 }, inputs: [kinked] },
  { name: "alpha", op: "Celu", attributes: { alpha: 0.7 }, inputs: [kinked] },
  { name: "per channel", op: "PRelu", inputs: [kinked, from(0.1, 0.4, 4)] },
  { name: "alpha", op: "ThresholdedRelu", attributes: { alpha: 0.2 }, inputs: [kinked] },
  { name: "inside and outside", op: "HardSigmoid", inputs: [{ dims: [5], data: [-3.5, -1, 0.3, 1.2, 3.5] }] },
  { name: "inside and outside", op: "HardSwish", inputs: [{ dims: [5], data: [-3.5, -1, 0.3, 1.2, 3.5] }] },
  { name: "exact", op: "Gelu", opset: 20, inputs: [t(2, 3)] },
  { name: "tanh", op: "Gelu", opset: 20, attributes: { approximate: "tanh" }, inputs: [t(2, 3)] },
  { name: "inputs", op: "Clip", inputs: [kinked, scalar(-0.4), scalar(0.4)] },
  { name: "attributes", op: "Clip", opset: 6, attributes: { min: -0.4, max: 0.4 }, inputs: [kinked] },
  ...[11, 13].flatMap((opset) =>
    ["Softmax", "LogSoftmax"].flatMap((op) => [
      { name: `opset ${opset}`, op, opset, inputs: [t(2, 3, 2)] },
      { name: `opset ${opset}, axis 1`, op, opset, attributes: { axis: 1 }, inputs: [t(2, 3, 2)] },
    ]),
  ),
  one("Identity"),
  { name: "inference", op: "Dropout", inputs: [t(2, 3)] },
  { name: "to int", op: "Cast", attributes: { to: 6 }, inputs: [from(-3, 3, 5)], differentiate: [] },
  // uint8, int8, uint16, int16
  ...[2, 3, 4, 5].flatMap((to): OperatorCase[] => [
    {
      name: `int32 to narrow type ${to} wraps`,
      op: "Cast",
      attributes: { to },
      inputs: [{ dims: [7], data: [300, -1, -129, 70000, 40000, 2147483647, -2147483648], dtype: "int32" }],
    },
    {
      name: `float32 to narrow type ${to} truncates and wraps`,
      op: "Cast",
      attributes: { to },
      inputs: [{ dims: [4], data: [300.7, -1.2, -129.9, 70000] }],
      differentiate: [],
    },
  ]),
  {
    name: "to bool",
    op: "Cast",
    attributes: { to: 9 },
    inputs: [{ dims: [3], data: [0, 0.5, -2] }],
    differentiate: [],
  },
  {
    name: "from int",
    op: "Cast",
    attributes: { to: 1 },
    inputs: [{ dims: [3], data: [0, 5, -2], dtype: "int32" }],
  },
  // com.microsoft
  { name: "fused", op: "FastGelu", domain: "com.microsoft", inputs: [t(2, 3), t(3)] },
  { name: "fused", op: "BiasGelu", domain: "com.microsoft", inputs: [t(2, 3), t(3)] },
  { name: "fused", op: "Gelu", domain: "com.microsoft", inputs: [t(2, 3)] },
  {
    name: "transposed, scaled",
    op: "FusedMatMul",
    domain: "com.microsoft",
    attributes: { transA: 1, transB: 1, alpha: 0.5 },
    inputs: [t(2, 3, 2), t(2, 2, 3)],
  },
  // linear algebra
  { name: "matrices", op: "MatMul", inputs: [t(2, 3), t(3, 4)] },
  { name: "batch by matrix", op: "MatMul", inputs: [t(2, 2, 3), t(3, 4)] },
  { name: "batches", op: "MatMul", inputs: [t(2, 2, 3), t(2, 3, 2)] },
  { name: "broadcast batches", op: "MatMul", inputs: [t(2, 1, 2, 3), t(2, 3, 2)] },
  { name: "vector by matrix", op: "MatMul", inputs: [t(3), t(3, 2)] },
  { name: "matrix by vector", op: "MatMul", inputs: [t(2, 3), t(3)] },
  { name: "plain", op: "Gemm", inputs: [t(2, 3), t(3, 4), t(4)] },
  { name: "no bias", op: "Gemm", inputs: [t(2, 3), t(3, 4)] },
  {
    name: "all attributes",
    op: "Gemm",
    attributes: { transA: 1, transB: 1, alpha: 0.5, beta: 0.25 },
    inputs: [t(3, 2), t(4, 3), t(2, 1)],
  },
  // reductions
  ...["ReduceMax", "ReduceMin"].flatMap((op) => [
    { name: "axis", op, attributes: { axes: [1], keepdims: 0 }, inputs: [distinct(2, 3, 2)] },
    { name: "all", op, inputs: [distinct(2, 3)] },
    { name: "axes input", op, opset: 18, inputs: [distinct(2, 3), ints(-1)] },
  ]),
  ...[
    "ReduceMean",

    "ReduceL1",
    "ReduceL2",
    "ReduceLogSumExp",
    "ReduceSumSquare",
  ].flatMap((op) => [
    { name: "axis", op, attributes: { axes: [1], keepdims: 0 }, inputs: [from(0.2, 1, 2, 3, 2)] },
    { name: "all", op, inputs: [from(0.2, 1, 2, 3)] },
    { name: "axes input", op, opset: 18, inputs: [from(0.2, 1, 2, 3), ints(-1)] },
  ]),
  { name: "axis", op: "ReduceProd", attributes: { axes: [1] }, inputs: [from(0.5, 1.5, 2, 3)] },
  { name: "axis", op: "ReduceLogSum", attributes: { axes: [1] }, inputs: [from(0.5, 1.5, 2, 3)] },
  { name: "axes input", op: "ReduceSum", inputs: [t(2, 3, 2), ints(0, 2)], attributes: { keepdims: 0 } },
  { name: "attribute", op: "ReduceSum", opset: 11, inputs: [t(2, 3, 2)], attributes: { axes: [1] } },
  { name: "rows", op: "ArgMax", attributes: { axis: 1, keepdims: 0 }, inputs: [t(2, 5)], differentiate: [] },
  { name: "rows", op: "ArgMin", attributes: { axis: 1 }, inputs: [t(2, 5)], differentiate: [] },
  // movement
  { name: "with 0 and -1", op: "Reshape", inputs: [t(2, 3, 2), ints(0, -1)] },
  { name: "axis 2", op: "Flatten", attributes: { axis: 2 }, inputs: [t(2, 3, 2)] },
  { name: "permuted", op: "Transpose", attributes: { perm: [2, 0, 1] }, inputs: [t(2, 3, 2)] },
  { name: "reversed", op: "Transpose", inputs: [t(2, 3)] },
  { name: "axes", op: "Squeeze", inputs: [t(2, 1, 3), ints(1)] },
  { name: "attribute", op: "Squeeze", opset: 11, attributes: { axes: [1] }, inputs: [t(2, 1, 3)] },
  { name: "axes", op: "Unsqueeze", inputs: [t(2, 3), ints(0, -1)] },
  { name: "attribute", op: "Unsqueeze", opset: 11, attributes: { axes: [0, 3] }, inputs: [t(2, 3)] },
  { name: "axis 1", op: "Concat", attributes: { axis: 1 }, inputs: [t(2, 3), t(2, 2)] },
  { name: "equal parts", op: "Split", outputs: 2, attributes: { axis: 1 }, inputs: [t(2, 4)] },
  { name: "sizes", op: "Split", outputs: 2, attributes: { axis: 1 }, inputs: [t(2, 4), ints(1, 3)] },
  {
    name: "attribute",
    op: "Split",
    opset: 11,
    outputs: 2,
    attributes: { axis: 1, split: [3, 1] },
    inputs: [t(2, 4)],
  },
  {
    name: "attributes",
    op: "Slice",
    opset: 9,
    attributes: { starts: [0, 1], ends: [1, -1], axes: [0, 1] },
    inputs: [t(2, 5)],
  },
  { name: "steps", op: "Slice", inputs: [t(2, 7), ints(1), ints(6), ints(1), ints(2)] },
  { name: "backwards", op: "Slice", inputs: [t(2, 5), ints(-1), ints(-100), ints(1), ints(-2)] },
  {
    name: "backwards to the end",
    op: "Slice",
    inputs: [t(2, 5), ints(3), ints(2147483647), ints(1), ints(-2)],
  },
  {
    name: "constant indices, repeated",
    op: "Gather",
    attributes: { axis: 1 },
    inputs: [t(2, 4), ints(3, 0, 3, -1)],
  },
  {
    name: "data-dependent indices, all equal",
    op: "Gather",
    inputs: [t(4, 3), { dims: [2, 3], data: [2, 2, 2, 2, 2, 2], dtype: "int64" }],
  },
  { name: "broadcast", op: "Expand", inputs: [t(3, 1), ints(2, 3, 4)] },
  { name: "rows", op: "Tile", inputs: [t(2, 3), ints(2, 3)] },
  { name: "broadcast", op: "Where", inputs: [{ dims: [2, 1], data: [1, 0], dtype: "bool" }, t(2, 3), t(3)] },
  { name: "DCR", op: "DepthToSpace", attributes: { blocksize: 2 }, inputs: [t(1, 8, 2, 2)] },
  { name: "CRD", op: "DepthToSpace", attributes: { blocksize: 2, mode: "CRD" }, inputs: [t(1, 8, 2, 2)] },
  { name: "blocks", op: "SpaceToDepth", attributes: { blocksize: 2 }, inputs: [t(1, 2, 4, 4)] },
  ...["constant", "reflect", "edge"].map((mode) => ({
    name: mode,
    op: "Pad",
    attributes: { mode },
    inputs: [t(2, 4), ints(0, 1, 0, 2)],
  })),
  {
    name: "attributes",
    op: "Pad",
    opset: 10,
    attributes: { pads: [0, 1, 0, 2], value: 0.5 },
    inputs: [t(2, 4)],
  },
  // corners: what a plain formula gets wrong
  ...["HardSigmoid", "HardSwish", "Relu"].map((op) => ({
    name: "infinities",
    op,
    inputs: [{ dims: [2], data: [Number.POSITIVE_INFINITY, 7] }],
    differentiate: [],
  })),
  {
    name: "infinities",
    op: "Clip",
    inputs: [
      { dims: [3], data: [Number.NEGATIVE_INFINITY, 0.2, Number.POSITIVE_INFINITY] },
      scalar(-0.4),
      scalar(0.4),
    ],
    differentiate: [],
  },
  { name: "vector by vector", op: "MatMul", inputs: [t(3), t(3)] },
  ...["ArgMax", "ArgMin"].map((op) => ({
    name: "last of equals",
    op,
    attributes: { axis: 1, select_last_index: 1 },
    inputs: [{ dims: [2, 4], data: [1, 3, 3, 1, 2, 2, 2, 2] }],
    differentiate: [],
  })),
  {
    name: "outside is off",
    op: "OneHot",
    inputs: [
      { dims: [4], data: [0, -1, 3, 7], dtype: "int64" },
      { dims: [], data: [3], dtype: "int64", constant: true },
      { dims: [2], data: [0.5, 2], constant: true },
    ],
    differentiate: [],
  },
  ...["ReduceSum", "ReduceSumSquare", "ReduceLogSum", "ReduceL2"].map((op) => ({
    name: "no axes, nothing reduced",
    op,
    opset: 18,
    attributes: { noop_with_empty_axes: 1 },
    inputs: [from(0.5, 1.5, 2, 3)],
  })),
  {
    name: "constants, infinite",
    op: "Equal",
    inputs: [
      { dims: [2], data: [Number.POSITIVE_INFINITY, 1], constant: true },
      { dims: [2], data: [Number.POSITIVE_INFINITY, 2], constant: true },
    ],
  },
  // normalisation
  {
    name: "rank 2",
    op: "BatchNormalization",
    inputs: [t(4, 3), from(0.5, 1.5, 3), t(3), t(3), { ...from(0.5, 1.5, 3), constant: true }],
    differentiate: [0, 1, 2],
  },
  {
    name: "all, no axes kept",
    op: "ReduceProd",
    attributes: { keepdims: 0 },
    inputs: [from(0.5, 1.5, 2, 3)],
  },
  { name: "all, no axes kept", op: "ReduceLogSumExp", attributes: { keepdims: 0 }, inputs: [t(2, 3)] },
  { name: "same shape", op: "Reshape", inputs: [t(2, 3), ints(2, 3)] },
  {
    name: "inference",
    op: "BatchNormalization",
    inputs: [t(2, 3, 2), from(0.5, 1.5, 3), t(3), t(3), { ...from(0.5, 1.5, 3), constant: true }],
    differentiate: [0, 1, 2],
  },
  { name: "default", op: "InstanceNormalization", inputs: [t(2, 2, 4), from(0.5, 1.5, 2), t(2)] },
  { name: "last axis", op: "LayerNormalization", inputs: [t(2, 4), from(0.5, 1.5, 4), t(4)] },
  {
    name: "two axes, no bias",
    op: "LayerNormalization",
    attributes: { axis: 1 },
    inputs: [t(2, 2, 3), from(0.5, 1.5, 2, 3)],
  },
  { name: "p 2", op: "LpNormalization", attributes: { axis: 1 }, inputs: [from(0.2, 1, 2, 3)] },
  { name: "p 1", op: "LpNormalization", attributes: { axis: 1, p: 1 }, inputs: [from(0.2, 1, 2, 3)] },
  // shape
  { name: "default", op: "Shape", inputs: [t(2, 3)], differentiate: [] },
  { name: "part", op: "Shape", attributes: { start: 1 }, inputs: [t(2, 3, 4)], differentiate: [] },
  { name: "constant", op: "ConstantOfShape", inputs: [ints(2, 3)] },
  // convolution
  {
    name: "padded, bias",
    op: "Conv",
    attributes: { pads: [1, 1, 1, 1] },
    inputs: [t(2, 2, 4, 4), t(3, 2, 3, 3), t(3)],
  },
  {
    name: "stride 2",
    op: "Conv",
    attributes: { pads: [1, 1, 1, 1], strides: [2, 2] },
    inputs: [t(1, 2, 5, 5), t(2, 2, 3, 3)],
  },
  {
    name: "stride 2, even size",
    op: "Conv",
    attributes: { pads: [1, 1, 1, 1], strides: [2, 2] },
    inputs: [t(1, 2, 4, 4), t(2, 2, 3, 3)],
  },
  {
    name: "stride 3, rest unread",
    op: "Conv",
    attributes: { strides: [3, 3] },
    inputs: [t(1, 1, 7, 7), t(2, 1, 2, 2)],
  },
  {
    name: "1×1, stride 2",
    op: "Conv",
    attributes: { strides: [2, 2] },
    inputs: [t(2, 2, 4, 4), t(3, 2, 1, 1)],
  },
  {
    name: "dilated",
    op: "Conv",
    attributes: { dilations: [2, 2], pads: [2, 2, 2, 2] },
    inputs: [t(1, 1, 5, 5), t(2, 1, 3, 3)],
  },
  {
    name: "grouped",
    op: "Conv",
    attributes: { group: 2, pads: [1, 1, 1, 1] },
    inputs: [t(1, 4, 3, 3), t(4, 2, 3, 3)],
  },
  {
    name: "depthwise, stride 2",
    op: "Conv",
    attributes: { group: 3, pads: [1, 1, 1, 1], strides: [2, 2] },
    inputs: [t(1, 3, 4, 4), t(3, 1, 3, 3), t(3)],
  },
  {
    name: "asymmetric",
    op: "Conv",
    attributes: { pads: [0, 1, 2, 0] },
    inputs: [t(1, 1, 4, 4), t(2, 1, 3, 3)],
  },
  {
    name: "same upper",
    op: "Conv",
    attributes: { auto_pad: "SAME_UPPER", strides: [2, 2] },
    inputs: [t(1, 1, 5, 4), t(2, 1, 3, 3)],
  },
  {
    name: "same lower",
    op: "Conv",
    attributes: { auto_pad: "SAME_LOWER" },
    inputs: [t(1, 1, 4, 4), t(2, 1, 2, 2)],
  },
  { name: "1-D", op: "Conv", attributes: { pads: [1, 1] }, inputs: [t(2, 2, 5), t(3, 2, 3)] },
  { name: "3-D", op: "Conv", inputs: [t(1, 1, 3, 3, 3), t(2, 1, 2, 2, 2)] },
  {
    name: "stride 2",
    op: "ConvTranspose",
    attributes: { strides: [2, 2] },
    inputs: [t(1, 2, 3, 3), t(2, 2, 2, 2), t(2)],
  },
  {
    name: "padded, output padding",
    op: "ConvTranspose",
    attributes: { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] },
    inputs: [t(1, 2, 3, 3), t(2, 1, 3, 3)],
  },
  {
    name: "stride 2",
    op: "MaxPool",
    attributes: { kernel_shape: [2, 2], strides: [2, 2] },
    inputs: [distinct(1, 2, 4, 4)],
  },
  {
    name: "overlapping, padded",
    op: "MaxPool",
    attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
    inputs: [distinct(1, 1, 5, 5)],
  },
  {
    name: "ceil",
    op: "MaxPool",
    attributes: { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 },
    inputs: [distinct(1, 1, 5, 5)],
  },
  {
    name: "stride 2",
    op: "AveragePool",
    attributes: { kernel_shape: [2, 2], strides: [2, 2] },
    inputs: [t(1, 2, 4, 4)],
  },
  {
    name: "padding not counted",
    op: "AveragePool",
    attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
    inputs: [t(1, 1, 5, 5)],
  },
  {
    name: "padding counted",
    op: "AveragePool",
    attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1], count_include_pad: 1 },
    inputs: [t(1, 1, 4, 4)],
  },
  { name: "2-D", op: "GlobalAveragePool", inputs: [t(2, 2, 3, 3)] },
  { name: "2-D", op: "GlobalMaxPool", inputs: [distinct(2, 2, 3, 3)] },
  { name: "constants", op: "Size", inputs: [t(2, 3)], differentiate: [] },
  {
    name: "floats",
    op: "Constant",
    attributes: { value_floats: [0.5, 2] },
    inputs: [],
  },
  {
    name: "backwards",
    op: "Range",
    inputs: [10, 3, -2].map((v) => ({ dims: [], data: [v], dtype: "int64", constant: true }) as const),
  },
  { name: "tanh-like", op: "QuickGelu", domain: "com.microsoft", inputs: [t(2, 3)] },
  {
    name: "fmod",
    op: "Mod",
    attributes: { fmod: 1 }, // Quotients 2.5, −3.4 and 1.3: far from the jumps at whole numbers.
    inputs: [
      { dims: [3], data: [2.5, -3.4, 1.3] },
      { dims: [3], data: [1, 1, 1] },
    ],
  },
  {
    name: "integers, sign of the divisor",
    op: "Mod",
    inputs: [
      { dims: [4], data: [7, -7, 7, -7], dtype: "int32" },
      { dims: [4], data: [3, 3, -3, -3], dtype: "int32" },
    ],
  },
  // logical
  ...["And", "Or", "Xor"].map((op) => ({
    name: "table",
    op,
    inputs: [
      { dims: [4], data: [0, 0, 1, 1], dtype: "bool" },
      { dims: [4], data: [0, 1, 0, 1], dtype: "bool" },
    ] as const,
  })),
  {
    name: "one of three",
    op: "IsNaN",
    inputs: [{ dims: [3], data: [0, Number.NaN, Number.POSITIVE_INFINITY] }],
    differentiate: [],
  },
  ...["Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"].map((op) => ({
    name: "broadcast",
    op,
    inputs: [
      { dims: [2, 2], data: [1, 2, 3, 4] },
      { dims: [2], data: [1, 3] },
    ],
    differentiate: [],
  })),
  { name: "default", op: "Not", inputs: [{ dims: [2], data: [1, 0], dtype: "bool" }] },
];
