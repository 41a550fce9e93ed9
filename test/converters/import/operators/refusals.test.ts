import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import { expect, test } from "vitest";
import { describeNode, getOperator } from "../../../../converters/import/registry.ts";
import { runNode } from "../../../../converters/import/run.ts";
import { type HostTensor, host } from "../../../../converters/import/value.ts";
import type { AttributeValue, OnnxNode } from "../../../../converters/onnx/model.ts";

interface Refusal {
  readonly op: string;
  readonly code: string;
  readonly says: string;
  /** Shapes of float inputs, or host values. */
  readonly inputs: readonly (number[] | HostTensor)[];
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  readonly domain?: string;
}
const yes = host("bool", [], [1]);
const half = host("float32", [], [0.5]);

const REFUSALS: readonly Refusal[] = [
  { op: "Dropout", code: "DROPOUT_TRAINING", says: "eval mode", inputs: [[2], half, yes] },
  {
    op: "BatchNormalization",
    code: "BATCHNORM_TRAINING",
    says: "eval mode",
    inputs: [[2, 3], [3], [3], [3], [3]],
    attributes: { training_mode: 1 },
  },
  { op: "Cast", code: "CAST_TYPE", says: "element type 8", inputs: [[2]], attributes: { to: 8 } },
  { op: "BitCast", code: "BITCAST", says: "shapes and constants", inputs: [[2]], attributes: { to: 6 } },
  {
    op: "BitShift",
    code: "BITSHIFT_DIRECTION",
    says: 'not "UP"',
    inputs: [[2], [2]],
    attributes: { direction: "UP" },
  },
  {
    op: "Einsum",
    code: "EINSUM_TERMS",
    says: '"ij,jk->ik"',
    inputs: [[2, 2]],
    attributes: { equation: "ij,jk->ik" },
  },
  {
    op: "Attention",
    code: "ATTENTION_HEADS",
    says: "q_num_heads",
    inputs: [
      [1, 2, 4],
      [1, 2, 4],
      [1, 2, 4],
    ],
  },
  {
    op: "RotaryEmbedding",
    code: "ROTARY_HEADS",
    says: "num_heads",
    inputs: [
      [1, 2, 4],
      [2, 2],
      [2, 2],
    ],
  },
  {
    op: "FusedGemm",
    domain: "com.microsoft",
    code: "FUSED_ACTIVATION",
    says: '"Unheard"',
    inputs: [
      [2, 2],
      [2, 2],
    ],
    attributes: { activation: "Unheard" },
  },
  {
    op: "Attention",
    domain: "com.microsoft",
    code: "ATTENTION_ROTARY",
    says: "do_rotary",
    inputs: [
      [1, 2, 4],
      [4, 12],
    ],
    attributes: { num_heads: 2, do_rotary: 1 },
  },
  {
    op: "LinearRegressor",
    domain: "ai.onnx.ml",
    code: "POST_TRANSFORM",
    says: "PROBIT",
    inputs: [[2, 2]],
    attributes: { coefficients: [1, 2], post_transform: "PROBIT" },
  },
  {
    op: "DeformConv",
    code: "OPERATOR_FAILED",
    says: "the offset has 36 channels where offset_group 1 and a kernel of 9 places need 18",
    inputs: [
      [1, 2, 4, 4],
      [2, 2, 3, 3],
      [1, 36, 2, 2],
    ],
  },
  { op: "CumSum", code: "OPERAND_NOT_CONSTANT", says: '"axis"', inputs: [[2], []] },
];

test.each(REFUSALS)(
  "$domain $op: $code, naming the node",
  ({ op, code, says, inputs, attributes = {}, domain = "" }) => {
    const node: OnnxNode = {
      name: "here",
      opType: op,
      domain,
      inputs: inputs.map((_, i) => `x${i}`),
      outputs: ["y"],
      attributes,
    };
    const values = new Map(
      inputs.map((input, i) => [`x${i}`, Array.isArray(input) ? tf.zeros(input) : input] as const),
    );
    const opset = domain ? 1 : 26;
    const planned = { node, opset, where: describeNode(node, opset), run: getOperator(node, opset) };
    const run = () => runNode(planned, values);
    expect(run).toThrow(expect.objectContaining({ code }) as Error);
    expect(run).toThrow(says);
    expect(run).toThrow('"here"');
  },
);
