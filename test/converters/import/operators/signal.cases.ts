import type { AttributeValue, DataType } from "../../../../converters/onnx/model.ts";
import type { CaseInput, OperatorCase } from "./harness.ts";

const t = (...dims: number[]): CaseInput => ({ dims });
const known = (value: number, dtype: DataType = "int64"): CaseInput => ({
  dims: [],
  data: [value],
  dtype,
  constant: true,
});
const one = (
  op: string,
  name: string,
  opset: number,
  inputs: (CaseInput | undefined)[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
): OperatorCase => ({ op, name: `${name} (opset ${opset})`, opset, inputs, attributes });

export const cases: readonly OperatorCase[] = [
  ...["HannWindow", "HammingWindow", "BlackmanWindow"].flatMap((op) => [
    one(op, "periodic", 17, [known(10)]),
    one(op, "symmetric", 17, [known(9)], { periodic: 0 }),
  ]),
  one("MelWeightMatrix", "8 bins", 17, [
    known(8),
    known(16),
    known(8192),
    known(0, "float32"),
    known(4096, "float32"),
  ]),

  one("DFT", "real", 17, [t(2, 5, 1)]),
  one("DFT", "complex, axis 2, zeros at the end", 17, [t(2, 2, 4, 2), known(6)], { axis: 2 }),
  one("DFT", "real, one-sided, cut off", 17, [t(1, 8, 1), known(6)], { onesided: 1 }),
  one("DFT", "inverse", 17, [t(1, 5, 2)], { inverse: 1 }),
  one("DFT", "real", 20, [t(2, 5, 1)]),
  one("DFT", "complex, axis 1", 20, [t(2, 4, 3, 2), undefined, known(1)]),
  one("DFT", "inverse of a real spectrum", 20, [t(2, 4, 1), undefined, known(-2)], { inverse: 1 }),

  one("STFT", "one-sided, window", 17, [t(2, 9, 1), known(2), { dims: [4], range: [0.2, 1] }]),
  one("STFT", "a signal without channels", 17, [t(2, 7), known(2), { dims: [3], range: [0.2, 1] }]),
  one("STFT", "frame length", 17, [t(1, 8, 1), known(3), undefined, known(5)], { onesided: 0 }),
];
