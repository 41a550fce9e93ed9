import type { OnnxGraph, OnnxModel, OnnxNode } from "../onnx/model.ts";
import { type IsKnown, inlineFunctions } from "./functions.ts";
import { expandIntegerOperators, isIntegerOperator } from "./integer-operators.ts";
import { expandLinearModels, isLinearModel } from "./linear-models.ts";
import { qualifySubgraphs } from "./subgraphs.ts";

/** Operators whose meaning this folder looks at: what is written out below, and what scales are read from. */
const isReadHere = (node: OnnxNode): boolean =>
  isIntegerOperator(node) ||
  isLinearModel(node) ||
  (node.domain === "" && (node.opType === "DequantizeLinear" || node.opType === "Mul"));

/**
 * The graph with functions inlined, every name unique, integer operators and linear models written out as
 * real-valued ones. Tensors have the names that payloads.ts gives them, so a weight is found again in the
 * file.
 * @param isKnown operators whose function bodies, where the file has some, are not used; by default those
 *   that quantised weights are recognised by
 * @throws notTrainable FUNCTION_RECURSIVE as {@link inlineFunctions}
 */
export function normalForm(source: OnnxModel, isKnown: IsKnown = isReadHere): OnnxGraph {
  const graph = qualifySubgraphs({ ...source.graph, nodes: inlineFunctions(source, isKnown) });
  return { ...graph, nodes: expandLinearModels(expandIntegerOperators(graph.nodes)) };
}
