import { normalForm } from "../graph/normal-form.ts";
import type { OnnxGraph, OnnxModel } from "../onnx/model.ts";
import { wrapNarrow } from "./narrow.ts";
import { findOperator } from "./registry.ts";

/**
 * The graph that is imported: the normal form, with implemented operators not inlined and narrow integers
 * wrapped to their range.
 */
export function normalizeGraph(source: OnnxModel): OnnxGraph {
  const graph = normalForm(source, (node, opset) => findOperator(node, opset) !== undefined);
  return { ...graph, nodes: wrapNarrow(graph) };
}
