import { requiredNodes } from "../graph/order.ts";
import { allNodes, usedValues } from "../graph/subgraphs.ts";
import type { OnnxGraph, OnnxNode } from "../onnx/model.ts";
import { describeNode, findOperator } from "./registry.ts";

/**
 * The beginning of a graph, which training does not change: ONNX Runtime computes its outputs once per
 * sample, before training.
 */
export interface Prefix {
  /** Outputs of the prefix that the rest of the graph takes as inputs. */
  readonly frontier: readonly string[];
  /** The nodes after the frontier, in order. */
  readonly rest: readonly OnnxNode[];
  /**
   * Tensors that the prefix uses, and why they are frozen: if they changed, the values computed before
   * training would be wrong.
   */
  readonly fixed: ReadonlyMap<string, string>;
}

/**
 * Cuts a graph after the operators that are not implemented here; undefined if there are none, or nothing
 * follows.
 */
export function findPrefix(
  graph: OnnxGraph,
  logits: string,
  opsets: ReadonlyMap<string, number>,
): Prefix | undefined {
  const needed = requiredNodes(graph, [logits]);
  const opsetOf = (node: OnnxNode) => node.opset ?? opsets.get(node.domain) ?? 1;
  const unknown = needed.filter((node) => allNodes([node]).some((n) => !findOperator(n, opsetOf(n))));
  const [first] = unknown;
  if (!first) return undefined;
  const made = new Set(unknown.flatMap(({ outputs }) => outputs));
  const rest = requiredNodes(graph, [logits], made);
  if (rest.length === 0 || rest.some((node) => unknown.includes(node))) return undefined;
  const frontier = [...new Set(rest.flatMap(usedValues))].filter((name) => made.has(name));
  const reason = `${describeNode(first, opsetOf(first))} has no gradient here, and this stands before it`;
  const fixed = new Map<string, string>();
  for (const node of requiredNodes(graph, frontier))
    for (const name of usedValues(node)) fixed.set(name, reason);
  return { frontier, rest, fixed };
}

/**
 * Cuts a graph before its first trained weights; undefined if no weight matrix comes before them, as a cut
 * would then save no work.
 * @param weights ranks of the float weights by name
 */
export function findFrozenPrefix(
  graph: OnnxGraph,
  logits: string,
  trained: ReadonlySet<string>,
  weights: ReadonlyMap<string, number>,
): Omit<Prefix, "fixed"> | undefined {
  const moving = new Set<string>();
  const perSample = new Set(graph.inputs.map(({ name }) => name));
  const made = new Set<string>();
  for (const node of requiredNodes(graph, [logits])) {
    const used = allNodes([node]).flatMap(usedValues);
    if (used.some((name) => trained.has(name) || moving.has(name)))
      for (const name of node.outputs) moving.add(name);
    else if (used.some((name) => perSample.has(name)))
      for (const name of node.outputs) {
        perSample.add(name);
        made.add(name);
      }
  }
  const rest = requiredNodes(graph, [logits], made);
  const frontier = [...new Set(rest.flatMap(usedValues))].filter((name) => made.has(name));
  const before = allNodes(requiredNodes(graph, frontier)).flatMap(usedValues);
  return before.some((name) => (weights.get(name) ?? 0) >= 2) ? { frontier, rest } : undefined;
}
