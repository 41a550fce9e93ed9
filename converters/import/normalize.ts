import type { OnnxGraph, OnnxModel } from "../onnx/model.ts";
import { expandLinearModels } from "./classifiers.ts";
import { inlineFunctions } from "./functions.ts";
import { wrapNarrow } from "./narrow.ts";
import { expandQuantised } from "./qoperators.ts";
import { qualifySubgraphs } from "./subgraphs.ts";

/**
 * The graph that is trained: functions inlined, every name unique, integer operators and linear models written out,
 * narrow integers kept in their range.
 * Tensors keep the names the exporter knows them by.
 */
export function normalizeGraph(source: OnnxModel): OnnxGraph {
  const graph = qualifySubgraphs({ ...source.graph, nodes: inlineFunctions(source) });
  const nodes = wrapNarrow(graph);
  return { ...graph, nodes: expandLinearModels(expandQuantised(nodes)) };
}
