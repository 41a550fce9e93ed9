import { elementCount } from "../../../../converters/dims.ts";
import type { AttributeValue, DataType } from "../../../../converters/onnx/model.ts";
import type { CaseInput, OperatorCase } from "./harness.ts";

const t = (...dims: number[]): CaseInput => ({ dims });
const tensorInts = (dims: number[], data: number[], dtype: DataType = "int64"): CaseInput => ({
  dims,
  data,
  dtype,
});
const known = (dims: number[], data: number[], dtype: DataType = "int64"): CaseInput => ({
  dims,
  data,
  dtype,
  constant: true,
});
/** Away from zero, for products, and far enough apart for extrema. */
const apart = (dims: number[], from: number, step: number): CaseInput => ({
  dims,
  data: Array.from({ length: elementCount(dims) }, (_, i) => from + step * ((i * 7) % 11) + 0.011 * i),
});
const one = (
  op: string,
  name: string,
  opset: number,
  inputs: (CaseInput | undefined)[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
  more: Partial<OperatorCase> = {},
): OperatorCase => ({ op, name: `${name} (opset ${opset})`, opset, inputs, attributes, ...more });

const REDUCTIONS = ["add", "mul", "max", "min"];

export const cases: readonly OperatorCase[] = [
  ...[11, 13].flatMap((opset) => [
    one("GatherElements", "constant indices, negative ones too", opset, [
      t(3, 3),
      known([2, 3], [1, -3, 0, -1, 2, 1]),
    ]),
    one(
      "GatherElements",
      "traced indices, last axis",
      opset,
      [t(2, 3, 2), tensorInts([2, 3, 2], [0, 1, 1, 0, -1, 0, 0, 0, 1, 1, -2, 1])],
      { axis: -1 },
    ),
  ]),
  one("GatherElements", "all on the host", 13, [known([2, 2], [5, 6, 7, 8]), known([2, 1], [1, -2])], {
    axis: 1,
  }),
  one("GatherElements", "fewer rows than the data", 13, [t(4, 3), tensorInts([1, 2], [3, -4])]),
  ...[11, 12, 13].flatMap((opset) => [
    one("GatherND", "rows", opset, [t(2, 3, 2), known([2, 2], [0, 1, -1, 2])]),
    one("GatherND", "traced tuples", opset, [t(2, 3, 2), tensorInts([2, 1, 3], [0, 1, 1, -1, -3, 0])]),
  ]),
  one("GatherND", "all indices equal: every cotangent adds up", 13, [
    t(4, 2),
    tensorInts([64, 1], new Array(64).fill(2)),
  ]),
  one("GatherND", "batch_dims 1", 13, [t(2, 3, 2), tensorInts([2, 1], [1, -1])], { batch_dims: 1 }),
  one("GatherND", "batch_dims 2, constants", 13, [t(2, 2, 3), known([2, 2, 1], [0, 2, -1, 1])], {
    batch_dims: 2,
  }),
  one("GatherND", "all on the host", 13, [known([2, 2], [5, 6, 7, 8]), known([2, 1], [1, 0])]),

  one("Scatter", "overwrites", 9, [t(3, 3), known([2, 3], [1, 0, 2, 0, 2, 1]), t(2, 3)]),
  one("Scatter", "traced indices, axis 1", 9, [t(2, 3), tensorInts([2, 2], [1, 0, 2, 1]), t(2, 2)], {
    axis: 1,
  }),
  ...[11, 13, 16, 18].flatMap((opset) => [
    one("ScatterElements", "constant indices", opset, [t(3, 3), known([2, 3], [1, 0, 2, 0, 2, 1]), t(2, 3)]),
    one(
      "ScatterElements",
      "traced indices, axis 1",
      opset,
      [t(2, 5), tensorInts([2, 2], [1, -1, 0, 3]), t(2, 2)],
      { axis: 1 },
    ),
    one("ScatterND", "rows", opset, [t(4, 2, 2), known([2, 1], [-1, 1]), t(2, 2, 2)]),
    one("ScatterND", "traced tuples", opset, [t(3, 4), tensorInts([2, 2], [0, 3, -1, 1]), t(2)]),
  ]),
  ...REDUCTIONS.flatMap((reduction) => [
    one(
      "ScatterElements",
      `${reduction}, equal indices`,
      18,
      [apart([2, 4], 0.5, 0.3), tensorInts([2, 3], [1, 1, -1, 0, 2, 2]), apart([2, 3], 0.7, 0.41)],
      { axis: 1, reduction },
    ),
    one(
      "ScatterND",
      `${reduction}, distinct indices`,
      18,
      [apart([4, 2], 0.5, 0.3), tensorInts([2, 1], [2, 0]), apart([2, 2], 0.7, 0.41)],
      { reduction },
    ),
  ]),
  one(
    "ScatterElements",
    "product with one zero and with two",
    18,
    [{ dims: [4], data: [0, 2, 3, 4] }, known([5], [0, 1, 1, 2, 2]), { dims: [5], data: [5, 0, 7, 0, 0] }],
    { reduction: "mul" },
  ),
  one(
    "ScatterElements",
    "all on the host",
    18,
    [known([3], [1, 2, 3]), known([2], [0, -1]), known([2], [5, 6])],
    { reduction: "add" },
  ),
  one("ScatterND", "all on the host", 13, [known([3], [1, 2, 3]), known([1, 1], [-2]), known([1], [9])]),

  one("TopK", "k as attribute", 1, [apart([2, 5], -1, 0.3)], { k: 2 }, { outputs: 2 }),
  one("TopK", "K as input", 10, [apart([2, 5], -1, 0.3), known([1], [3])], { axis: 1 }, { outputs: 2 }),
  one(
    "TopK",
    "largest along axis 0",
    11,
    [apart([4, 3], -1, 0.3), known([1], [2])],
    { axis: 0 },
    { outputs: 2 },
  ),
  one("TopK", "smallest", 11, [apart([2, 5], -1, 0.3), known([1], [2])], { largest: 0 }, { outputs: 2 }),
  one(
    "TopK",
    "of equals the first",
    11,
    [tensorInts([5], [3, 7, 7, 7, 1], "int32"), known([1], [2])],
    {},
    { outputs: 2 },
  ),
  one(
    "TopK",
    "on the host",
    11,
    [known([2, 3], [3, 1, 2, 9, 8, 7]), known([1], [2])],
    { largest: 0 },
    { outputs: 2 },
  ),

  one("Trilu", "upper", 14, [t(2, 3, 4)]),
  one("Trilu", "upper, k = −1", 14, [t(4, 3), known([], [-1])]),
  one("Trilu", "lower, k = 1", 14, [t(3, 4), known([], [1])], { upper: 0 }),
  one("Trilu", "lower, on the host", 14, [known([2, 2], [1, 2, 3, 4])], { upper: 0 }),
  one("ReverseSequence", "time first, constant lengths", 10, [t(4, 3, 2), known([3], [4, 1, 2])]),
  one("ReverseSequence", "batch first, traced lengths", 10, [t(3, 4), tensorInts([3], [2, 4, 3])], {
    batch_axis: 0,
    time_axis: 1,
  }),
  ...[9, 11].flatMap((opset) => [
    one("Compress", "axis 1", opset, [t(2, 4), known([4], [0, 1, 0, 1], "bool")], { axis: 1 }),
    one("Compress", "flattened, short condition", opset, [t(2, 4), known([5], [1, 0, 0, 1, 1], "bool")]),
  ]),
  one("NonZero", "integers", 13, [known([2, 3], [0, 4, 0, 5, 6, 0])]),
  one("NonZero", "floats", 9, [known([3], [0, 0.5, -1], "float32")]),
  one("Unique", "sorted elements", 11, [known([6], [2, 1, 1, 3, 4, 3], "float32")], {}, { outputs: 4 }),
  one(
    "Unique",
    "in order of appearance",
    11,
    [known([6], [2, 1, 1, 3, 4, 3])],
    { sorted: 0 },
    { outputs: 4 },
  ),
  one("Unique", "rows", 11, [known([3, 2], [1, 0, 0, 3, 1, 0], "float32")], { axis: 0 }, { outputs: 4 }),
  one("Unique", "columns", 11, [known([2, 3], [2, 1, 2, 5, 0, 5], "float32")], { axis: -1 }, { outputs: 4 }),

  one("TensorScatter", "from the start", 24, [t(2, 4, 3), t(2, 2, 3)]),
  one("TensorScatter", "traced write indices", 24, [t(2, 4, 3), t(2, 2, 3), tensorInts([2], [1, 2])]),
  one("TensorScatter", "circular", 24, [t(2, 4, 3), t(2, 3, 3), known([2], [1, 3])], { mode: "circular" }),
  one("TensorScatter", "circular, traced", 24, [t(2, 4, 3), t(2, 3, 3), tensorInts([2], [1, 3])], {
    mode: "circular",
  }),

  one("Tile", "tensor", 13, [t(2, 3), known([2], [2, 3])]),
  one("Tile", "host", 13, [known([1, 2], [3, 4]), known([2], [2, 2])]),
  { ...one("Tile", "no copies", 13, [t(2, 3), known([2], [0, 2])]), differentiate: [] },
  one("Expand", "an axis of 0", 13, [known([1, 2], [3, 4]), known([2], [0, 1])]),
  one("Where", "host, broadcast", 16, [known([2, 1], [1, 0], "bool"), known([2], [3, 4]), known([], [9])]),
  one("Pad", "host", 13, [known([2, 2], [1, 2, 3, 4]), known([4], [1, -1, 0, 1])]),
  one("Pad", "edge, cut at one end", 18, [t(3, 4), known([4], [2, -1, -1, 2])], { mode: "edge" }),
  one("CenterCropPad", "crop and pad", 18, [t(5, 4), known([2], [2, 7])]),
  one("CenterCropPad", "axes", 18, [t(2, 5, 3), known([2], [8, 2])], { axes: [1, -1] }),
  ...["int64", "float32"].map((dtype) =>
    one("OneHot", `${dtype} values`, 11, [
      tensorInts([3], [1, -1, 5]),
      known([1], [3]),
      known([2], [0, 1], dtype as DataType),
    ]),
  ),
  one("EyeLike", "k = 1", 9, [tensorInts([3, 4], new Array(12).fill(1), "int32")], { k: 1 }),
  one("EyeLike", "dtype", 9, [known([2, 2], [1, 2, 3, 4])], { dtype: 1, k: -1 }),
  one(
    "CastLike",
    "float to int32",
    15,
    [{ dims: [3], data: [1.5, -2.7, 3] }, tensorInts([1], [1], "int32")],
    {},
    { differentiate: [] },
  ),
  one("CastLike", "to bool, host", 15, [known([3], [0, 2, -1]), known([1], [1], "bool")]),
];
