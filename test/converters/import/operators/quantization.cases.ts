import type { AttributeValue, DataType } from "../../../../converters/onnx/model.ts";
import type { CaseInput, OperatorCase } from "./harness.ts";

const known = (dims: number[], data: number[], dtype: DataType = "float32"): CaseInput => ({
  dims,
  data,
  dtype,
  constant: true,
});
const one = (
  op: string,
  name: string,
  opset: number,
  inputs: (CaseInput | undefined)[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
  more: Partial<OperatorCase> = {},
): OperatorCase => ({ op, name: `${name} (opset ${opset})`, opset, inputs, attributes, ...more });
/** Codes are piecewise constant: the straight-through gradient has its own test. */
const steps = { differentiate: [] };

/** Halves are rounded to even, the ends saturate. */
const x: CaseInput = {
  dims: [2, 3, 2],
  data: [0.25, 0.75, -0.25, 1.25, -3, 70, -64.5, 0, 63.4, -70, 5.1, 200],
};
const RANGES: readonly [DataType, number][] = [
  ["uint8", 3],
  ["int8", -5],
  ["uint16", 300],
  ["int16", -7],
];

export const cases: readonly OperatorCase[] = [
  ...RANGES.flatMap(([dtype, zero]) =>
    (dtype.endsWith("16") ? [21] : [10, 13, 19, 21]).map((opset) =>
      one("QuantizeLinear", dtype, opset, [x, known([], [0.5]), known([], [zero], dtype)], {}, steps),
    ),
  ),
  one("QuantizeLinear", "no zero point", 13, [x, known([], [0.5])], {}, steps),
  one(
    "QuantizeLinear",
    "per axis",
    13,
    [x, known([3], [0.5, 2, 0.25]), known([3], [3, 0, 100], "uint8")],
    { axis: -2 },
    steps,
  ),
  one("QuantizeLinear", "scale from the data", 13, [x, { dims: [], data: [0.5] }], {}, steps),
  one(
    "QuantizeLinear",
    "blocks",
    21,
    [
      x,
      known([2, 2, 2], [0.5, 2, 0.25, 1, 4, 8, 0.1, 0.2]),
      known([2, 2, 2], [0, 1, 2, 3, 4, 5, 6, 7], "int8"),
    ],
    { axis: 1, block_size: 2 },
    steps,
  ),
  one("QuantizeLinear", "output_dtype", 21, [x, known([], [0.5])], { output_dtype: 3 }, steps),

  ...[10, 13, 19, 21].flatMap((opset) => [
    one("DequantizeLinear", "uint8 codes", opset, [
      { dims: [4], data: [0, 3, 128, 255], dtype: "uint8" },
      known([], [0.5]),
      known([], [3], "uint8"),
    ]),
    one("DequantizeLinear", "an int8 weight", opset, [
      known([4], [-128, 3, 0, 127], "int8"),
      known([], [0.5]),
    ]),
  ]),
  one(
    "DequantizeLinear",
    "scale from the data",
    13,
    [known([2, 2], [-128, 3, 0, 127], "int8"), { dims: [2], data: [0.5, 2] }],
    { axis: 0 },
  ),
  one(
    "DequantizeLinear",
    "int32 bias per axis",
    13,
    [known([3], [-1000, 3, 70000], "int32"), known([3], [0.5, 0.1, 0.001])],
    { axis: 0 },
  ),
  one(
    "DequantizeLinear",
    "blocks",
    21,
    [
      known([2, 3], [1, 2, 3, 4, 5, 6], "int16"),
      known([2, 2], [0.5, 2, 0.25, 1]),
      known([2, 2], [0, 1, 2, 3], "int16"),
    ],
    { axis: 1, block_size: 2 },
  ),
  one(
    "DynamicQuantizeLinear",
    "both signs",
    11,
    [{ dims: [2, 3], data: [0, 2, -3, -2.5, 1.34, 0.5] }],
    {},
    { ...steps, outputs: 3 },
  ),
  one(
    "DynamicQuantizeLinear",
    "all positive",
    11,
    [{ dims: [4], data: [1, 2.1, 1.3, 4] }],
    {},
    { ...steps, outputs: 3 },
  ),
  one(
    "DynamicQuantizeLinear",
    "all negative",
    11,
    [{ dims: [4], data: [-1, -2.1, -1.3, -4] }],
    {},
    { ...steps, outputs: 3 },
  ),
];
