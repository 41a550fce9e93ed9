import { elementCount } from "../../../../converters/dims.ts";
import type { CaseInput, OperatorCase } from "./harness.ts";

const t = (...dims: number[]): CaseInput => ({ dims });
const from = (low: number, high: number, ...dims: number[]): CaseInput => ({ dims, range: [low, high] });
const known = (input: CaseInput): CaseInput => ({ ...input, constant: true });
/** Four distinct values 0.3 apart per row: statistics far from degenerate. */
const spread = (...dims: number[]): CaseInput => ({
  dims,
  data: Array.from({ length: elementCount(dims) }, (_, i) => ((i * 7) % 11) * 0.3 - 1.5),
});

export const cases: readonly OperatorCase[] = [
  {
    name: "spatial 0",
    op: "BatchNormalization",
    opset: 7,
    attributes: { spatial: 0 },
    inputs: [t(2, 3, 2), from(0.5, 1.5, 3, 2), t(3, 2), t(3, 2), known(from(0.5, 1.5, 3, 2))],
    differentiate: [0, 1, 2, 3],
  },
  {
    name: "opset 9, variance differentiated too",
    op: "BatchNormalization",
    opset: 9,
    attributes: { epsilon: 0.1 },
    inputs: [t(2, 3, 2, 2), from(0.5, 1.5, 3), t(3), t(3), from(0.5, 1.5, 3)],
  },
  { name: "2-D", op: "InstanceNormalization", inputs: [spread(2, 2, 3, 2), from(0.5, 1.5, 2), t(2)] },
  {
    name: "scale per group",
    op: "GroupNormalization",
    opset: 18,
    attributes: { num_groups: 2 },
    inputs: [spread(2, 4, 3), from(0.5, 1.5, 2), t(2)],
  },
  {
    name: "scale per channel",
    op: "GroupNormalization",
    opset: 21,
    attributes: { num_groups: 2, epsilon: 0.01 },
    inputs: [spread(2, 4, 2, 2), from(0.5, 1.5, 4), t(4)],
  },
  {
    name: "all three outputs",
    op: "LayerNormalization",
    outputs: 3,
    inputs: [spread(2, 5), from(0.5, 1.5, 5), t(5)],
  },
  {
    name: "statistics of two axes",
    op: "LayerNormalization",
    outputs: 2,
    attributes: { axis: -2, epsilon: 0.01 },
    inputs: [spread(2, 2, 3), from(0.5, 1.5, 2, 3), t(2, 3)],
  },
  { name: "last axis", op: "RMSNormalization", opset: 23, inputs: [spread(2, 5), from(0.5, 1.5, 5)] },
  {
    name: "two axes",
    op: "RMSNormalization",
    opset: 23,
    attributes: { axis: 1, epsilon: 0.01 },
    inputs: [spread(2, 2, 3), from(0.5, 1.5, 2, 3)],
  },
  {
    name: "scale and root",
    op: "SimplifiedLayerNormalization",
    outputs: 2,
    inputs: [spread(2, 5), from(0.5, 1.5, 5)],
  },
  ...[1, 3, 5].map((size) => ({
    name: `size ${size}`,
    op: "LRN",
    attributes: { size, alpha: 0.5, beta: 0.6, bias: 1.5 },
    inputs: [t(2, 4, 2, 2)],
  })),
  { name: "defaults", op: "LRN", attributes: { size: 3 }, inputs: [t(1, 3, 2, 2)] },
  ...[9, 13].map((opset) => ({
    name: `opset ${opset}`,
    op: "MeanVarianceNormalization",
    opset,
    inputs: [spread(2, 2, 2, 2)],
  })),
  {
    name: "axes",
    op: "MeanVarianceNormalization",
    attributes: { axes: [1, 2, 3] },
    inputs: [spread(2, 2, 3, 2)],
  },
  ...[1, 2].map((p) => ({
    name: `zeros stay zeros, p ${p}`,
    op: "LpNormalization",
    attributes: { p },
    inputs: [{ dims: [2, 3], data: [0, 0, 0, 0.5, -0.7, 0.2] }],
    differentiate: [],
  })),
];
