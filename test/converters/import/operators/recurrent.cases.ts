import type { AttributeValue } from "../../../../converters/onnx/model.ts";
import type { CaseInput, OperatorCase } from "./harness.ts";

const t = (...dims: number[]): CaseInput => ({ dims });
const lengths = (data: number[], constant: boolean): CaseInput => ({
  dims: [data.length],
  data,
  dtype: "int32",
  constant,
});
const GATES = { RNN: 1, GRU: 3, LSTM: 4 } as const;
type Recurrent = keyof typeof GATES;

const [TIME, BATCH, INPUT, HIDDEN] = [3, 2, 2, 2];
/** X, W, R for a number of directions. */
const body = (op: Recurrent, directions = 1) => {
  const rows = GATES[op] * HIDDEN;
  return [t(TIME, BATCH, INPUT), t(directions, rows, INPUT), t(directions, rows, HIDDEN)];
};
/** Every second gate gets 2 before the bound of ½, the others 0.2: none comes near the kink. */
const clipped = (op: Recurrent): CaseInput[] => {
  const rows = GATES[op] * HIDDEN;
  return [
    { dims: [TIME, BATCH, INPUT], data: new Array<number>(TIME * BATCH * INPUT).fill(1) },
    { dims: [1, rows, INPUT], data: Array.from({ length: rows * INPUT }, (_, i) => (i % 4 < 2 ? 1 : 0.1)) },
    { dims: [1, rows, HIDDEN], range: [-0.02, 0.02] },
  ];
};
const bias = (op: Recurrent, directions = 1) => t(directions, 2 * GATES[op] * HIDDEN);
const state = (directions = 1) => t(directions, BATCH, HIDDEN);

const of = (
  op: Recurrent,
  name: string,
  inputs: (CaseInput | undefined)[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
  opset = 14,
): OperatorCase => ({
  op,
  name: `${name} (opset ${opset})`,
  opset,
  inputs,
  attributes: { hidden_size: HIDDEN, ...attributes },
  outputs: op === "LSTM" ? 3 : 2,
});

export const cases: readonly OperatorCase[] = [
  ...(Object.keys(GATES) as Recurrent[]).flatMap((op) => [
    of(op, "no bias", body(op), {}, 7),
    of(op, "bias, initial state", [
      ...body(op),
      bias(op),
      undefined,
      state(),
      ...(op === "LSTM" ? [state()] : []),
    ]),
    of(op, "reverse", body(op), { direction: "reverse" }),
    of(op, "both directions, sequence lengths", [...body(op, 2), bias(op, 2), lengths([3, 1], true)], {
      direction: "bidirectional",
    }),
    of(op, "traced sequence lengths", [...body(op), undefined, lengths([2, 3], false)]),
    of(op, "clip", clipped(op), { clip: 0.5 }),
  ]),
  of("RNN", "other activations per direction", body("RNN", 2), {
    direction: "bidirectional",
    activations: ["Affine", "Softsign"],
    activation_alpha: [0.7],
    activation_beta: [0.2],
  }),
  of("RNN", "LeakyRelu", body("RNN"), { activations: ["LeakyRelu"], activation_alpha: [0.3] }),
  of("RNN", "Elu", body("RNN"), { activations: ["Elu"], activation_alpha: [0.7] }),
  of("RNN", "ScaledTanh", body("RNN"), {
    activations: ["ScaledTanh"],
    activation_alpha: [1.5],
    activation_beta: [0.6],
  }),
  of("GRU", "linear before reset", [...body("GRU"), bias("GRU")], { linear_before_reset: 1 }),
  of("GRU", "HardSigmoid and Softplus", body("GRU"), { activations: ["HardSigmoid", "Softplus"] }),
  of("LSTM", "peepholes", [...body("LSTM"), bias("LSTM"), undefined, state(), state(), t(1, 3 * HIDDEN)]),
  of("LSTM", "coupled input and forget gate", body("LSTM"), { input_forget: 1 }),
];
