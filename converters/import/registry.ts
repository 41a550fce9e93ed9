import { notTrainable } from "../errors.ts";
import type { OnnxNode } from "../onnx/model.ts";
import type { Operator, OperatorFacts } from "./operator.ts";
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

interface Variant {
  readonly since: number;
  readonly run: Operator;
}

/** Every capitalised export of a family module must be an operator; one without facts does not compile. */
type Family<M> = { readonly [Name in keyof M]: Name extends Capitalize<Name & string> ? Operator : unknown };
const family = <M extends Family<M>>(operators: M): object => operators;

const AI_ONNX = [
  family(elementwise),
  family(activation),
  family(linalg),
  family(reduction),
  family(movement),
  family(normalization),
  family(shape),
  family(logical),
  family(convolution),
  family(indexing),
  family(image),
  family(quantization),
  family(attention),
  family(einsum),
  family(loss),
  family(recurrent),
  family(signal),
  family(control),
  family(sequence),
  family(detection),
  family(text),
];

/** `Softmax_13` is the variant of Softmax since opset 13; no suffix means since version 1. */
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
  "ai.onnx.ml": collect([family(ml)]),
  "com.microsoft": collect([family(microsoft), family(contributed)]),
};

/** `Conv "layer1.0/conv" (ai.onnx, opset 13)`, for error messages. */
export const describeNode = (node: OnnxNode, opset: number) =>
  `${node.opType} "${node.name || node.outputs[0]}" (${node.domain || "ai.onnx"}, opset ${opset})`;

type Named = Pick<OnnxNode, "domain" | "opType">;

/** The newest variant not newer than the opset; undefined if there is none. */
export function findOperator(node: Named, opset: number): Operator | undefined {
  return domains[node.domain === "ai.onnx" ? "" : node.domain]
    ?.get(node.opType)
    ?.find(({ since }) => since <= opset)?.run;
}

/**
 * Facts of the newest variant, for questions that do not depend on the opset; undefined for an unknown
 * operator.
 */
export const factsOf = (node: Named): OperatorFacts | undefined =>
  findOperator(node, Number.POSITIVE_INFINITY)?.facts;

const RANDOM = /^(Bernoulli|Multinomial|RandomNormal|RandomNormalLike|RandomUniform|RandomUniformLike)$/;
const TEXT = /^(StringConcat|StringNormalizer|StringSplit|RegexFullMatch|LabelEncoder)$/;
/** Why an operator is not implemented, if there is a reason to state. */
function unknownBecause({ opType }: OnnxNode): string {
  if (RANDOM.test(opType))
    return "this operator draws random numbers, so that no two runs of the file could be compared";
  if (TEXT.test(opType)) return "this operator works on text, which has no gradient";
  return "this operator is not supported";
}

/** Like findOperator, but throws for an unknown operator, naming it with node, domain and opset. */
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

/** All operators of a domain, with the opsets at which their variants start. */
export const registeredOperators = (domain = ""): ReadonlyMap<string, readonly number[]> =>
  new Map(
    [...(domains[domain] ?? [])].map(([name, variants]) => [
      name,
      variants.map((v) => v.since).sort((a, b) => a - b),
    ]),
  );
