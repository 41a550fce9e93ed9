import type { OnnxGraph, OnnxNode, OnnxTensor } from "../onnx/model.ts";
import { allNodes, initializersOf } from "./subgraphs.ts";

/** The weight that a `Constant` node holds, if it is a float tensor. */
export function constantTensor(node: OnnxNode): OnnxTensor | undefined {
  if (node.opType !== "Constant" || (node.domain !== "" && node.domain !== "ai.onnx")) return undefined;
  const { value, value_float: single, value_floats: list } = node.attributes;
  const name = node.outputs[0]!;
  if (typeof value === "object" && "dtype" in value) return value;
  if (typeof single === "number") return { name, dtype: "float32", dims: [], data: Float32Array.of(single) };
  if (Array.isArray(list))
    return { name, dtype: "float32", dims: [list.length], data: Float32Array.from(list as number[]) };
  return undefined;
}

/** Initializers of the graph and its subgraphs, and tensors in `Constant` nodes, by name. */
export function constantsOf(graph: OnnxGraph): Map<string, OnnxTensor> {
  const found = initializersOf(graph);
  for (const node of allNodes(graph.nodes)) {
    const value = node.opType === "Constant" && node.domain === "" ? node.attributes["value"] : undefined;
    if (typeof value === "object" && "dtype" in value) found.set(node.outputs[0]!, value);
  }
  return found;
}
