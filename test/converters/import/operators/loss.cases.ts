import type { AttributeValue } from "../../../../converters/onnx/model.ts";
import type { CaseInput, OperatorCase } from "./harness.ts";

const t = (...dims: number[]): CaseInput => ({ dims });
const labels = (dims: number[], data: number[], constant = false): CaseInput => ({
  dims,
  data,
  dtype: "int64",
  constant,
});
const weights: CaseInput = { dims: [3], data: [0.5, 1, 2] };

const of = (
  op: string,
  name: string,
  inputs: CaseInput[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
  opset = 13,
  outputs = 1,
): OperatorCase => ({ op, name: `${name} (opset ${opset})`, opset, inputs, attributes, outputs });

export const cases: readonly OperatorCase[] = [
  "NegativeLogLikelihoodLoss",
  "SoftmaxCrossEntropyLoss",
].flatMap((op) => [
  ...[12, 13].map((opset) => of(op, "mean", [t(3, 3), labels([3], [2, 0, 1])], {}, opset)),
  of(op, "constant labels, sum", [t(2, 3, 2), labels([2, 2], [2, 0, 1, 1], true)], { reduction: "sum" }),
  of(op, "none, weights", [t(2, 3, 2), labels([2, 2], [2, 0, 1, 1]), weights], { reduction: "none" }),
  of(op, "weighted mean, ignored labels", [t(2, 3, 2), labels([2, 2], [2, -1, 1, 1]), weights], {
    ignore_index: -1,
  }),
  of(op, "ignored label of a class", [t(4, 3), labels([4], [2, 0, 1, 0])], { ignore_index: 0 }),
  ...(op === "SoftmaxCrossEntropyLoss"
    ? [of(op, "log-probabilities", [t(2, 3), labels([2], [2, 0])], {}, 13, 2)]
    : []),
]);
