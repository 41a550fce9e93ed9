import { normalForm } from "../graph/normal-form.ts";
import type { OnnxGraph, OnnxModel } from "../onnx/model.ts";
import { wrapNarrow } from "./narrow.ts";
import { findOperator } from "./registry.ts";

/**
 * The graph that is trained: the normal form, operators known here not inlined, narrow integers kept in their
 * range.
 */
export function normalizeGraph(source: OnnxModel): OnnxGraph {
  const graph = normalForm(source, (node, opset) => findOperator(node, opset) !== undefined);
  return { ...graph, nodes: wrapNarrow(graph) };
}
