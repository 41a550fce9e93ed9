import { notTrainable } from "../errors.ts";
import type { OnnxNode } from "../onnx/model.ts";
import * as activation from "./ops/activation.ts";
import * as attention from "./ops/attention.ts";
import * as contributed from "./ops/contributed.ts";
import * as control from "./ops/control.ts";
import * as convolution from "./ops/convolution.ts";
import * as detection from "./ops/detection.ts";
import * as einsum from "./ops/einsum.ts";
import * as elementwise from "./ops/elementwise.ts";
import * as image from "./ops/image.ts";
import * as indexing from "./ops/indexing.ts";
import * as linalg from "./ops/linalg.ts";
import * as logical from "./ops/logical.ts";
import * as loss from "./ops/loss.ts";
import * as microsoft from "./ops/microsoft.ts";
import * as ml from "./ops/ml.ts";
import * as movement from "./ops/movement.ts";
import * as normalization from "./ops/normalization.ts";
import * as quantization from "./ops/quantization.ts";
import * as recurrent from "./ops/recurrent.ts";
import * as reduction from "./ops/reduction.ts";
import * as sequence from "./ops/sequence.ts";
import * as shape from "./ops/shape.ts";
import * as signal from "./ops/signal.ts";
import * as text from "./ops/text.ts";
import type { Inputs, OperatorContext, Value } from "./value.ts";

/** Attributes are checked by each operator's own destructuring type, hence `never` here. */
export type Operator = (inputs: Inputs, attributes: never, context: OperatorContext) => Value | Value[];

interface Variant {
  readonly since: number;
  readonly run: Operator;
}

const AI_ONNX = [
  elementwise,
  activation,
  linalg,
  reduction,
  movement,
  normalization,
  shape,
  logical,
  convolution,
  indexing,
  image,
  quantization,
  attention,
  einsum,
  loss,
  recurrent,
  signal,
  control,
  sequence,
  detection,
  text,
] as const;

/** `Softmax_13` is the variant of Softmax since opset 13; no suffix means since version 1. Only capitalised exports are operators. */
function collect(modules: readonly object[]): Map<string, Variant[]> {
  const table = new Map<string, Variant[]>();
  for (const module of modules) {
    for (const [name, run] of Object.entries(module) as [string, Operator][]) {
      const match = /^([A-Z][A-Za-z0-9]*?)(?:_(\d+))?$/.exec(name);
      if (!match || typeof run !== "function") continue;
      const variants = table.get(match[1]!) ?? [];
      variants.push({ since: Number(match[2] ?? 1), run });
      table.set(match[1]!, variants);
    }
  }
  for (const variants of table.values()) variants.sort((a, b) => b.since - a.since);
  return table;
}

const domains: Readonly<Record<string, Map<string, Variant[]>>> = {
  "": collect(AI_ONNX),
  "ai.onnx.ml": collect([ml]),
  "com.microsoft": collect([microsoft, contributed]),
};

/** `Conv "layer1.0/conv" (ai.onnx, opset 13)`, for error messages. */
export const describeNode = (node: OnnxNode, opset: number) =>
  `${node.opType} "${node.name || node.outputs[0]}" (${node.domain || "ai.onnx"}, opset ${opset})`;

/** Newest registered variant not newer than the model's opset; undefined where there is none. */
export function findOperator(node: OnnxNode, opset: number): Operator | undefined {
  return domains[node.domain === "ai.onnx" ? "" : node.domain]
    ?.get(node.opType)
    ?.find(({ since }) => since <= opset)?.run;
}

const RANDOM = /^(Bernoulli|Multinomial|RandomNormal|RandomNormalLike|RandomUniform|RandomUniformLike)$/;
const TEXT = /^(StringConcat|StringNormalizer|StringSplit|RegexFullMatch|LabelEncoder)$/;
/** Why an operator will stay unknown, where there is more to say than that it is. */
function unknownBecause({ opType }: OnnxNode): string {
  if (RANDOM.test(opType))
    return "this operator draws random numbers, so that no two runs of the file could be compared";
  if (TEXT.test(opType)) return "this operator works on text, which has no gradient";
  return "this operator is not supported";
}

/** Like findOperator, but refuses an unknown operator with its name, node, domain and opset. */
export function getOperator(node: OnnxNode, opset: number): Operator {
  const operator = findOperator(node, opset);
  if (!operator)
    throw notTrainable(
      "OPERATOR_UNKNOWN",
      `${describeNode(node, opset)}: ${unknownBecause(node)}, and a trained weight or the logits depend on it; ` +
        "remove it from the graph, or choose other logits.",
    );
  return operator;
}

/** Names of all registered operators of a domain, with the opsets at which a variant starts. */
export const registeredOperators = (domain = ""): ReadonlyMap<string, readonly number[]> =>
  new Map(
    [...(domains[domain] ?? [])].map(([name, variants]) => [
      name,
      variants.map((v) => v.since).sort((a, b) => a - b),
    ]),
  );
