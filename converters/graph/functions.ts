import { notTrainable } from "../errors.ts";
import type { AttributeValue, OnnxFunction, OnnxModel, OnnxNode } from "../onnx/model.ts";
import { firstOutput, functionKey, functionPrefix, isGraph, renameNode } from "./subgraphs.ts";

const DEEPEST = 64;

/**
 * Replaces attributes that refer to an attribute of the function by the value in the call; subgraphs
 * included.
 */
function resolveReferences(
  node: OnnxNode,
  values: Readonly<Record<string, AttributeValue | undefined>>,
): OnnxNode {
  const attributes: Record<string, AttributeValue> = {};
  for (const [key, value] of Object.entries(node.attributes))
    attributes[key] = isGraph(value)
      ? { ...value, nodes: value.nodes.map((inner) => resolveReferences(inner, values)) }
      : value;
  for (const [key, from] of Object.entries(node.references ?? {})) {
    const value = values[from];
    if (value !== undefined) attributes[key] = value;
  }
  const { references: _, ...rest } = node;
  return { ...rest, attributes };
}

/** Whether a node's operator is implemented, so that a function body for it in the file is not used. */
export type IsKnown = (node: OnnxNode, opset: number) => boolean;

/**
 * Replaces every call of a model-local function by the function's body. Calls of operators that `isKnown`
 * accepts stay: exporters attach bodies to standard operators too.
 * @throws notTrainable FUNCTION_RECURSIVE if functions call each other without end
 */
export function inlineFunctions({ graph, functions = [], opsets }: OnnxModel, isKnown: IsKnown): OnnxNode[] {
  if (functions.length === 0) return [...graph.nodes];
  const known = new Map(functions.map((body) => [functionKey(body), body]));
  const hoisted = new Map<string, OnnxNode>();

  const isConstant = (node: OnnxNode) =>
    node.opType === "Constant" && node.domain === "" && node.references === undefined;

  const expand = (node: OnnxNode, depth: number): OnnxNode[] => {
    const body = known.get(functionKey({ domain: node.domain, name: node.opType }));
    if (!body || isKnown(node, node.opset ?? opsets.get(node.domain) ?? 1)) return [node];
    if (depth > DEEPEST)
      throw notTrainable(
        "FUNCTION_RECURSIVE",
        `The function ${node.domain}.${node.opType} calls itself without end; export the model without functions.`,
      );
    return call(body, node).flatMap((inner) => expand(inner, depth + 1));
  };

  const call = (body: OnnxFunction, node: OnnxNode): OnnxNode[] => {
    const prefix = `${firstOutput(node)}/`;
    const names = new Map<string, string>();
    for (const inner of body.nodes)
      for (const output of inner.outputs)
        if (output) names.set(output, (isConstant(inner) ? functionPrefix(body) : prefix) + output);
    body.inputs.forEach((name, i) => {
      names.set(name, node.inputs[i] ?? "");
    });
    body.outputs.forEach((name, i) => {
      const actual = node.outputs[i];
      if (!actual) return;
      const inner = body.nodes.find(({ outputs }) => outputs.includes(name));
      // An output that is a constant or an input keeps its name and is copied by an Identity.
      if (inner && !isConstant(inner)) names.set(name, actual);
    });
    const attributes = { ...body.defaults, ...node.attributes };
    const nodes: OnnxNode[] = [];
    for (const inner of body.nodes) {
      const opset = body.opsets.get(inner.domain);
      const resolved = renameNode(resolveReferences(inner, attributes), names);
      const versioned = opset === undefined ? resolved : { ...resolved, opset };
      if (!isConstant(inner)) nodes.push(versioned);
      else hoisted.set(firstOutput(versioned), versioned);
    }
    body.outputs.forEach((name, i) => {
      const actual = node.outputs[i];
      const made = names.get(name) ?? name;
      if (actual && made !== actual)
        nodes.push({
          name: "",
          opType: "Identity",
          domain: "",
          inputs: [made],
          outputs: [actual],
          attributes: {},
          opset: 13,
        });
    });
    return nodes;
  };
  const nodes = graph.nodes.flatMap((node) => expand(node, 0));
  return [...hoisted.values(), ...nodes];
}
