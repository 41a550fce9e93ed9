import { badInput } from "../errors.ts";
import type { OnnxGraph, OnnxNode } from "../onnx/model.ts";
import { usedValues } from "./subgraphs.ts";

/** The node that makes each value. */
export const producersOf = (nodes: readonly OnnxNode[]): ReadonlyMap<string, OnnxNode> =>
  new Map(nodes.flatMap((node) => node.outputs.filter(Boolean).map((output) => [output, node] as const)));

/**
 * The nodes that `targets` depend on, in topological order. Some files are not sorted, and run in ONNX
 * Runtime.
 * @param outer values of the surrounding graphs, which a subgraph may use
 * @throws badInput if the graph has a cycle or a value that no node makes
 */
export function requiredNodes(
  graph: OnnxGraph,
  targets: readonly string[],
  outer: ReadonlySet<string> = new Set(),
): OnnxNode[] {
  const producer = producersOf(graph.nodes);
  const available = new Set([
    ...outer,
    ...graph.initializers.keys(),
    ...graph.inputs.map(({ name }) => name),
  ]);
  const order: OnnxNode[] = [];
  const state = new Map<OnnxNode, "open" | "done">();
  // Iterative depth-first search: deep graphs would overflow the call stack.
  const stack: { readonly node: OnnxNode; readonly needs: readonly string[]; next: number }[] = [];
  const enter = (name: string, user: string) => {
    if (!name || available.has(name)) return;
    const node = producer.get(name);
    if (!node)
      throw badInput(
        "VALUE_UNKNOWN",
        `Value "${name}" (used by ${user}) is made by no node, input or initializer; the graph is damaged, export the model again.`,
      );
    if (state.get(node) === "done") return;
    if (state.get(node) === "open")
      throw badInput("GRAPH_CYCLE", `The graph has a cycle through node "${node.name || node.outputs[0]}".`);
    state.set(node, "open");
    stack.push({ node, needs: usedValues(node), next: 0 });
  };
  for (const target of targets) {
    enter(target, "the graph outputs");
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const { node } = top;
      const input = top.needs[top.next++];
      if (input === undefined) {
        state.set(node, "done");
        order.push(node);
        stack.pop();
      } else enter(input, `node "${node.name || node.outputs[0]}"`);
    }
  }
  return order;
}
