import type { OnnxNode, OnnxTensor } from "../onnx/model.ts";
import { firstOutput } from "./subgraphs.ts";

/** Name of a weight that an ai.onnx.ml operator holds in an attribute. */
export const attributeKey = (output: string, attribute: string): string => `${output}/${attribute}`;

/** Linear models of ai.onnx.ml, and their float attributes that are weights. */
export const WEIGHT_ATTRIBUTES: Readonly<Record<string, readonly string[]>> = {
  LinearClassifier: ["coefficients", "intercepts"],
  LinearRegressor: ["coefficients", "intercepts"],
};

const squashing: Readonly<Record<string, readonly [string, Readonly<Record<string, number>>]>> = {
  NONE: ["Identity", {}],
  SOFTMAX: ["Softmax", { axis: -1 }],
  LOGISTIC: ["Sigmoid", {}],
};

/**
 * A linear classifier or regressor as a product, x·Wᵀ + b, followed by its post_transform; undefined if it
 * cannot be expressed so.
 */
function expand(node: OnnxNode): OnnxNode[] | undefined {
  const { coefficients, intercepts, post_transform: post = "NONE", targets } = node.attributes;
  const isClassifier = node.opType === "LinearClassifier";
  const squash = squashing[String(post)];
  if (!Array.isArray(coefficients) || coefficients.length === 0 || !squash) return undefined;
  const labels = node.attributes["classlabels_ints"] ?? node.attributes["classlabels_strings"];
  const classes = Array.isArray(labels) ? labels.length : 0;
  const rows =
    Array.isArray(intercepts) && intercepts.length > 0
      ? intercepts.length
      : isClassifier
        ? classes
        : Number(targets ?? 1);
  if (rows === 0 || coefficients.length % rows !== 0) return undefined;
  const scores = node.outputs[isClassifier ? 1 : 0] || `${firstOutput(node)}/scores`;
  const name = (what: string) => attributeKey(firstOutput(node), what);
  const nodes: OnnxNode[] = [];
  const add = (
    opType: string,
    inputs: readonly string[],
    output: string,
    attributes: OnnxNode["attributes"] = {},
    domain = "",
  ) => {
    nodes.push({ name: node.name, opType, domain, inputs, outputs: [output], attributes, opset: 13 });
    return output;
  };
  const constant = (what: string, dims: readonly number[], values: readonly number[]) => {
    const value: OnnxTensor = { name: name(what), dtype: "float32", dims, data: Float32Array.from(values) };
    return add("Constant", [], name(what), { value });
  };
  const w = constant("coefficients", [rows, coefficients.length / rows], coefficients as number[]);
  const b =
    Array.isArray(intercepts) && intercepts.length > 0
      ? [constant("intercepts", [rows], intercepts as number[])]
      : [];
  const x = add("Cast", [node.inputs[0]!], name("input"), { to: 1 });
  let logits = add("LinearRegressor", [x, w, ...b], name("logits"), { targets: rows }, "ai.onnx.ml");
  // With one row for two classes, the first class has the negated score.
  if (isClassifier && rows === 1 && classes === 2) {
    if (post !== "LOGISTIC") return undefined;
    logits = add("Concat", [add("Neg", [logits], name("opposite")), logits], name("both"), { axis: 1 });
  }
  add(squash[0], [logits], scores, squash[1]);
  if (isClassifier && node.outputs[0]) add("ArgMax", [logits], node.outputs[0], { axis: 1, keepdims: 0 });
  return nodes;
}

export const isLinearModel = ({ domain, opType }: OnnxNode): boolean =>
  domain === "ai.onnx.ml" && opType in WEIGHT_ATTRIBUTES;

/** Replaces linear models of ai.onnx.ml by nodes with their weights as `Constant`s. */
export const expandLinearModels = (nodes: readonly OnnxNode[]): OnnxNode[] =>
  nodes.flatMap((node) => (isLinearModel(node) ? (expand(node) ?? [node]) : [node]));
