import type { OnnxGraph, OnnxModel, OnnxNode } from "../onnx/model.ts";
import { type IsKnown, inlineFunctions } from "./functions.ts";
import { expandIntegerOperators, isIntegerOperator } from "./integer-operators.ts";
import { expandLinearModels, isLinearModel } from "./linear-models.ts";
import { qualifySubgraphs } from "./subgraphs.ts";

/** Operators that the rewrites below or the search for quantised weights recognise. */
const isReadHere = (node: OnnxNode): boolean =>
  isIntegerOperator(node) ||
  isLinearModel(node) ||
  (node.domain === "" && (node.opType === "DequantizeLinear" || node.opType === "Mul"));

/**
 * The graph with functions inlined, all names unique, and integer operators and linear models replaced by
 * float operators. Weights are named as in payloads.ts, so that they are found again in the file.
 * @param isKnown operators whose function bodies in the file are not used; by default those that this folder
 *   recognises
 * @throws notTrainable FUNCTION_RECURSIVE as {@link inlineFunctions}
 */
export function normalForm(source: OnnxModel, isKnown: IsKnown = isReadHere): OnnxGraph {
  const graph = qualifySubgraphs({ ...source.graph, nodes: inlineFunctions(source, isKnown) });
  return { ...graph, nodes: expandLinearModels(expandIntegerOperators(graph.nodes)) };
}
