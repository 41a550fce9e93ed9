import type { AttributeValue, OnnxNode } from "../onnx/model.ts";
import { firstOutput } from "./subgraphs.ts";

/** Names of a quantised value's codes, scale and zero point; "" for no zero point, which means 0. */
type Quantised = readonly [codes: string, scale: string, zero: string];
type Attributes = Readonly<Record<string, AttributeValue>>;

/** Collects nodes whose value names start with the first output of the node they replace. */
function builder(of: OnnxNode) {
  const nodes: OnnxNode[] = [];
  const add = (
    opType: string,
    inputs: readonly string[],
    attributes: Attributes = {},
    output = `${firstOutput(of)}/float${nodes.length}`,
    domain = "",
  ): string => {
    nodes.push({
      name: of.name,
      opType,
      domain,
      inputs,
      outputs: [output],
      attributes,
      opset: domain ? 1 : 21,
    });
    return output;
  };
  return {
    nodes,
    add,
    /** (codes − zero) · scale; weights per output channel have one scale per slice of `axis`. */
    real: ([codes, scale, zero]: Quantised, axis = 1) =>
      add("DequantizeLinear", [codes, scale, zero], { axis }),
    quantise: (value: string, scale: string, zero: string) =>
      add("QuantizeLinear", [value, scale, zero], {}, of.outputs[0]!),
  };
}

const triple = (node: OnnxNode, at: number): Quantised => [
  node.inputs[at] ?? "",
  node.inputs[at + 1] ?? "",
  node.inputs[at + 2] ?? "",
];

/** Inputs x, x's scale and zero point, y's scale and zero point; output y. */
const unary =
  (opType: string, attributes: (node: OnnxNode) => Attributes = ({ attributes: own }) => own) =>
  (node: OnnxNode): OnnxNode[] => {
    const { nodes, add, real, quantise } = builder(node);
    quantise(add(opType, [real(triple(node, 0))], attributes(node)), node.inputs[3]!, node.inputs[4] ?? "");
    return nodes;
  };

const binary =
  (opType: string) =>
  (node: OnnxNode): OnnxNode[] => {
    const { nodes, add, real, quantise } = builder(node);
    const y = add(opType, [real(triple(node, 0)), real(triple(node, 3))]);
    quantise(y, node.inputs[6]!, node.inputs[7] ?? "");
    return nodes;
  };

/**
 * Product of codes minus zero point, as floats. Exact in practice: the products of 8-bit codes must sum to
 * less than 2^24.
 */
function integerProduct(opType: string) {
  return (node: OnnxNode): OnnxNode[] => {
    const { nodes, add } = builder(node);
    const [x, w, xZero, wZero] = node.inputs;
    const shifted = (codes: string, zero: string | undefined) => {
      const value = add("Cast", [codes], { to: 1 });
      return zero ? add("Sub", [value, add("Cast", [zero], { to: 1 })]) : value;
    };
    add(opType, [shifted(x!, xZero), shifted(w!, wZero)], node.attributes, node.outputs[0]!);
    return nodes;
  };
}

/** Every integer operator as a float operator between DequantizeLinear and QuantizeLinear. */
const MEANING: Readonly<Record<string, (node: OnnxNode) => OnnxNode[]>> = {
  QLinearConv: (node) => {
    const { nodes, add, real, quantise } = builder(node);
    const [x, w] = [triple(node, 0), triple(node, 3)];
    const inputs = [real(x, 1), real(w, 0)];
    // The bias is int32 on the scale of the products, with zero point 0.
    if (node.inputs[8]) inputs.push(real([node.inputs[8], add("Mul", [x[1], w[1]]), ""], 0));
    quantise(add("Conv", inputs, node.attributes), node.inputs[6]!, node.inputs[7] ?? "");
    return nodes;
  },
  QLinearMatMul: (node) => {
    const { nodes, add, real, quantise } = builder(node);
    const y = add("MatMul", [real(triple(node, 0), -2), real(triple(node, 3), -1)]);
    quantise(y, node.inputs[6]!, node.inputs[7] ?? "");
    return nodes;
  },
  ConvInteger: integerProduct("Conv"),
  MatMulInteger: integerProduct("MatMul"),
  "com.microsoft:QLinearAdd": binary("Add"),
  "com.microsoft:QLinearMul": binary("Mul"),
  "com.microsoft:QLinearSigmoid": unary("Sigmoid"),
  "com.microsoft:QLinearLeakyRelu": unary("LeakyRelu"),
  "com.microsoft:QLinearSoftmax": unary("Softmax", ({ attributes }) => ({
    axis: attributes["axis"] ?? -1,
  })),
  "com.microsoft:QLinearAveragePool": unary("AveragePool", ({ attributes }) => {
    const { channels_last: _, ...own } = attributes;
    return own;
  }),
  "com.microsoft:QLinearGlobalAveragePool": unary("GlobalAveragePool", () => ({})),
  "com.microsoft:QLinearConcat": (node) => {
    const { nodes, add, real, quantise } = builder(node);
    const parts: string[] = [];
    for (let at = 2; at < node.inputs.length; at += 3) parts.push(real(triple(node, at)));
    quantise(add("Concat", parts, node.attributes), node.inputs[0]!, node.inputs[1] ?? "");
    return nodes;
  },
  "com.microsoft:QGemm": (node) => {
    const { nodes, add, real, quantise } = builder(node);
    const [a, b] = [triple(node, 0), triple(node, 3)];
    const { transA = 0, transB = 0, alpha = 1 } = node.attributes;
    const inputs = [real(a, 1), real(b, Number(transB) ? 0 : 1)];
    if (node.inputs[6]) inputs.push(real([node.inputs[6], add("Mul", [a[1], b[1]]), ""], 0));
    const y = add("Gemm", inputs, { transA, transB, alpha });
    if (node.inputs[7]) quantise(y, node.inputs[7], node.inputs[8] ?? "");
    else add("Identity", [y], {}, node.outputs[0]!);
    return nodes;
  },
};

const meaningOf = (node: OnnxNode) => {
  // Channels-last is a layout that only ONNX Runtime's own optimiser writes.
  if (Number(node.attributes["channels_last"] ?? 0) !== 0) return undefined;
  return MEANING[node.domain ? `${node.domain}:${node.opType}` : node.opType];
};

export const isIntegerOperator = (node: OnnxNode): boolean => meaningOf(node) !== undefined;

/** Replaces integer operators (QLinearConv, MatMulInteger, …) by float operators, which have gradients. */
export const expandIntegerOperators = (nodes: readonly OnnxNode[]): OnnxNode[] =>
  nodes.flatMap((node) => meaningOf(node)?.(node) ?? [node]);
