import type { AttributeValue } from "../../../../converters/onnx/model.ts";
import type { CaseInput, OperatorCase } from "./harness.ts";

const t = (...dims: number[]): CaseInput => ({ dims });
const ints = (dims: number[], data: number[]): CaseInput => ({ dims, data, dtype: "int64" });
const one = (
  op: string,
  name: string,
  inputs: CaseInput[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
  more: Partial<OperatorCase> = {},
): OperatorCase => ({ op, name, domain: "ai.onnx.ml", opset: 1, inputs, attributes, ...more });

export const cases: readonly OperatorCase[] = [
  one("Scaler", "per feature", [t(2, 3)], { offset: [0.5, -1, 2.25], scale: [2, 0.5, 1.5] }),
  one("Scaler", "one for all, integers", [ints([2, 2], [1, 2, 3, 4])], { offset: [0.5], scale: [0.25] }),
  one(
    "Imputer",
    "NaN, per feature",
    [{ dims: [2, 3], data: [1, Number.NaN, 3, Number.NaN, 5, 6] }],
    { imputed_value_floats: [7, 8, 9], replaced_value_float: Number.NaN },
    { differentiate: [] },
  ),
  ...[
    // A marker moved by a finite difference is none any more: its gradient is taken where there is none.
    { name: "a marker", data: [1, -9, 3, 4], more: { differentiate: [] } },
    { name: "nothing missing", data: [1, 2, 3, 4], more: {} },
  ].map(({ name, data, more }) =>
    one(
      "Imputer",
      name,
      [{ dims: [2, 2], data }],
      { imputed_value_floats: [0.5], replaced_value_float: -9 },
      more,
    ),
  ),
  one("Imputer", "integers", [ints([2, 2], [1, -9, 3, 4])], {
    imputed_value_int64s: [5],
    replaced_value_int64: -9,
  }),
  ...["MAX", "L1", "L2"].map((norm) =>
    one("Normalizer", norm, [{ dims: [2, 3], data: [0.3, -1.2, 0.8, -0.4, 0.9, 0.2] }], { norm }),
  ),
  one(
    "Normalizer",
    "a row of zeros",
    [{ dims: [2, 2], data: [0, 0, 3, 4] }],
    { norm: "L2" },
    { differentiate: [] },
  ),
  one("FeatureVectorizer", "two features", [t(2, 3), t(2, 1)], { inputdimensions: [3, 1] }),
  one("FeatureVectorizer", "cut off and filled up", [t(2, 3), t(2, 1)], { inputdimensions: [2, 3] }),
  one("ArrayFeatureExtractor", "columns", [t(2, 4), { ...ints([1, 2], [3, 0]), constant: true }]),
  one("ArrayFeatureExtractor", "traced places", [t(2, 4), ints([1, 2], [1, 1])]),
  one("Binarizer", "threshold", [t(2, 3)], { threshold: 0.2 }, { differentiate: [] }),
  one("OneHotEncoder", "categories", [ints([3], [4, 7, 5])], { cats_int64s: [5, 4, 6], zeros: 1 }),
  one("LinearRegressor", "two targets", [t(2, 3)], {
    coefficients: [0.5, -1.5, 2.5, 0.1, 0.2, 0.3],
    intercepts: [0.25, -0.5],
    targets: 2,
  }),
  one(
    "LinearRegressor",
    "more coefficients than its input has columns for: the first ones count",
    [t(2, 2)],
    {
      coefficients: [0.5, -1.5, 2.5, 0.1, 0.2, 0.3],
      intercepts: [0.25, -0.5],
      targets: 2,
    },
  ),
];
