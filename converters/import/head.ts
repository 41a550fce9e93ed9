import { notTrainable } from "../errors.ts";
import { producersOf } from "../graph/order.ts";
import { isFloatType, type OnnxGraph, type OnnxNode } from "../onnx/model.ts";
import type { Head } from "./model.ts";
import type { Tail } from "./operator.ts";
import { decidesWithoutWeights } from "./parameters.ts";
import { factsOf } from "./registry.ts";

/**
 * What a node does between logits and output. ZipMap is listed here because its outputs are maps, not
 * tensors, so it is no operator of the importer.
 */
const tailOf = (node: OnnxNode): Tail | undefined =>
  node.opType === "ZipMap" ? "probabilities" : factsOf(node)?.tail;

type Producers = ReadonlyMap<string, OnnxNode>;

/** Goes back from a graph output over Softmax, ArgMax, ZipMap … to the logits. */
function tapBeforeTail(
  graph: OnnxGraph,
  producers: Producers,
  output: string,
): Head & { readonly isMap?: boolean } {
  let logits = output;
  let kind: Head["outputKind"] = "logits";
  let value = output;
  let isMap = false;
  for (;;) {
    const node = producers.get(value);
    if (!node) break;
    if (node.opType === "ZipMap") isMap = true;
    const tail = tailOf(node);
    if (!tail || tail === "ranks") break;
    value = node.inputs[0]!;
    if (tail === "transparent") {
      if (logits === node.outputs[0]) logits = value;
    } else if (tail !== "rearranges") {
      // The node nearest to the output decides what the output holds: ArgMax after Softmax gives labels.
      if (kind === "logits") kind = tail;
      logits = value;
      // There is at most one Softmax or Sigmoid between logits and output.
      if (tail !== "labels" && node.opType !== "ZipMap") break;
    }
  }
  if (graph.initializers.has(logits)) logits = output;
  return { logits, output, outputKind: kind, ...(isMap ? { isMap } : {}) };
}

/** For an integer output: the logits are what the nearest ArgMax or TopK before it compares. */
function tapOfIntegers(graph: OnnxGraph, producers: Producers, output: string): Head | undefined {
  const seen = new Set<string>();
  const queue = [output];
  for (let value = queue.shift(); value !== undefined; value = queue.shift()) {
    const node = producers.get(value);
    if (!node || seen.has(value)) continue;
    seen.add(value);
    const tail = tailOf(node);
    if (tail === "labels" || tail === "ranks")
      return { ...tapBeforeTail(graph, producers, node.inputs[0]!), output, outputKind: "labels" };
    queue.push(...node.inputs.filter(Boolean));
  }
  return undefined;
}

// Outputs by preference: logits, then probabilities, then bare labels.
const RANK: readonly Head["outputKind"][] = [
  "logits",
  "log-probabilities",
  "probabilities",
  "sigmoid",
  "labels",
];

/**
 * Every value that could be the logits, in the order of the outputs. If several outputs lead to one value,
 * the output with the most information is taken.
 */
export function headCandidates(graph: OnnxGraph): Head[] {
  const producers = producersOf(graph.nodes);
  const best = new Map<string, Head>();
  const rank = (head: Head & { readonly isMap?: boolean }) =>
    head.isMap ? RANK.length : RANK.indexOf(head.outputKind);
  for (const { name, dtype } of graph.outputs) {
    let head: (Head & { readonly isMap?: boolean }) | undefined = tapBeforeTail(graph, producers, name);
    const isInteger = dtype !== undefined && !isFloatType(dtype);
    if (head.outputKind === "logits" && isInteger) head = tapOfIntegers(graph, producers, name);
    // An output that no node makes is an input or a constant.
    if (!head || !producers.has(head.logits)) continue;
    const known = best.get(head.logits);
    if (!known || rank(head) < rank(known)) best.set(head.logits, head);
  }
  return [...best.values()];
}

/**
 * Finds the logits: the value before a final Softmax, LogSoftmax, Sigmoid, ArgMax or ZipMap, or the output
 * itself.
 * @throws notTrainable LOGITS_AMBIGUOUS with the candidates, LOGITS_UNKNOWN for a name that is no value of
 *   the graph, LOGITS_NOT_FOUND if no output holds floats
 */
export function findHead(graph: OnnxGraph, wanted: string | undefined): Head {
  const candidates = headCandidates(graph);
  if (wanted !== undefined) {
    const producers = producersOf(graph.nodes);
    if (!producers.has(wanted))
      throw notTrainable(
        "LOGITS_UNKNOWN",
        `No node makes a value named "${wanted}" to take as logits; candidates: ${candidates.map((h) => h.logits).join(", ")}.`,
      );
    const found = candidates.find((h) => h.logits === wanted);
    if (found) return found.output === wanted ? { ...found, outputKind: "logits" } : found;
    // The user's choice is taken: an output as it is, any other value as the logits of the first candidate's
    // output.
    if (graph.outputs.some(({ name }) => name === wanted))
      return { logits: wanted, output: wanted, outputKind: "logits" };
    const [first] = candidates;
    if (first) return { ...first, logits: wanted };
  }
  const [first, ...others] = candidates;
  const without = decidesWithoutWeights(graph.nodes);
  if (!first && without) throw notTrainable("NO_WEIGHTS", without);
  if (!first)
    throw notTrainable(
      "LOGITS_NOT_FOUND",
      graph.outputs.length === 0
        ? "The graph has no outputs, so there is nothing to train on."
        : `No output of the graph (${graph.outputs.map(({ name }) => name).join(", ")}) is computed from numbers with a gradient, so there is nothing to train on.`,
    );
  if (others.length > 0)
    throw notTrainable(
      "LOGITS_AMBIGUOUS",
      `The graph has several possible logits (${candidates.map((h) => h.logits).join(", ")}); choose one of them.`,
    );
  return first;
}
