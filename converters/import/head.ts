import { notTrainable } from "../errors.ts";
import type { OnnxGraph, OnnxNode } from "../onnx/model.ts";
import type { Head } from "./model.ts";
import { decidesWithoutWeights } from "./parameters.ts";
import { isFloatType } from "./value.ts";

/** Nodes that change neither which class wins nor what a logit is. */
const TRANSPARENT = new Set(["Identity", "Cast", "CastLike", "Dropout"]);
/** Nodes that keep the numbers' order; looked through only where a squashing lies behind them. */
const RESHAPING = new Set([
  "Reshape",
  "Flatten",
  "Squeeze",
  "Unsqueeze",
  "Normalizer",
  "QuantizeLinear",
  "DequantizeLinear",
]);

const KIND: Readonly<Record<string, Head["outputKind"]>> = {
  Softmax: "probabilities",
  LogSoftmax: "log-probabilities",
  Sigmoid: "sigmoid",
  ArgMax: "labels",
};
/** Behind one squashing there is no second one. */
const SQUASHING = new Set(["Softmax", "LogSoftmax", "Sigmoid"]);

type Producers = ReadonlyMap<string, OnnxNode>;

export function producersOf(graph: OnnxGraph): Producers {
  const producers = new Map<string, OnnxNode>();
  for (const node of graph.nodes) for (const output of node.outputs) if (output) producers.set(output, node);
  return producers;
}

/** Walks from a graph output back over the tail (Softmax, ArgMax, ZipMap …) to the logits. */
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
    // Maps from label to probability: not a tensor, so nothing the runtime's JavaScript binding hands out.
    if (node.opType === "ZipMap") isMap = true;
    const next = node.opType === "ZipMap" ? "probabilities" : KIND[node.opType];
    if (!next && !TRANSPARENT.has(node.opType) && !RESHAPING.has(node.opType)) break;
    value = node.inputs[0]!;
    if (next) {
      // The first tail node met from the end decides what the output holds; ArgMax over Softmax still gives labels.
      if (kind === "logits") kind = next;
      logits = value;
      if (SQUASHING.has(node.opType)) break;
    } else if (TRANSPARENT.has(node.opType) && logits === node.outputs[0]) logits = value;
  }
  if (graph.initializers.has(logits)) logits = output;
  return { logits, output, outputKind: kind, ...(isMap ? { isMap } : {}) };
}

/** The nearest ArgMax above an integer output: what it compares are the logits, whatever is counted afterwards. */
function tapBehindInteger(graph: OnnxGraph, producers: Producers, output: string): Head | undefined {
  const seen = new Set<string>();
  const queue = [output];
  for (let value = queue.shift(); value !== undefined; value = queue.shift()) {
    const node = producers.get(value);
    if (!node || seen.has(value)) continue;
    seen.add(value);
    if (node.opType === "ArgMax" || node.opType === "TopK")
      return { ...tapBeforeTail(graph, producers, node.inputs[0]!), output, outputKind: "labels" };
    queue.push(...node.inputs.filter(Boolean));
  }
  return undefined;
}

// Prefer the output that says most: logits, then probabilities, then bare labels.
const RANK: readonly Head["outputKind"][] = [
  "logits",
  "log-probabilities",
  "probabilities",
  "sigmoid",
  "labels",
];

/** Every value that could be the logits, one head each: the one whose output says most. In the order of the outputs. */
export function headCandidates(graph: OnnxGraph): Head[] {
  const producers = producersOf(graph);
  const best = new Map<string, Head>();
  const rank = (head: Head & { readonly isMap?: boolean }) =>
    head.isMap ? RANK.length : RANK.indexOf(head.outputKind);
  for (const { name, dtype } of graph.outputs) {
    let head: (Head & { readonly isMap?: boolean }) | undefined = tapBeforeTail(graph, producers, name);
    const isInteger = dtype !== undefined && !isFloatType(dtype);
    if (head.outputKind === "logits" && isInteger) head = tapBehindInteger(graph, producers, name);
    // An output that no node makes is an input or a constant handed through.
    if (!head || !producers.has(head.logits)) continue;
    const known = best.get(head.logits);
    if (!known || rank(head) < rank(known)) best.set(head.logits, head);
  }
  return [...best.values()];
}

/**
 * Finds the logits: the value before a trailing Softmax/LogSoftmax/Sigmoid/ArgMax/ZipMap, or the output itself.
 * @throws notTrainable LOGITS_AMBIGUOUS with the candidates, LOGITS_UNKNOWN for a name that is no value of the graph,
 * LOGITS_NOT_FOUND where no output holds floats
 */
export function findHead(graph: OnnxGraph, wanted: string | undefined): Head {
  const candidates = headCandidates(graph);
  if (wanted !== undefined) {
    const producers = producersOf(graph);
    if (!producers.has(wanted))
      throw notTrainable(
        "LOGITS_UNKNOWN",
        `No node makes a value named "${wanted}" to take as logits; candidates: ${candidates.map((h) => h.logits).join(", ")}.`,
      );
    const found = candidates.find((h) => h.logits === wanted);
    if (found) return found.output === wanted ? { ...found, outputKind: "logits" } : found;
    // The user's word against ours: an output is taken as it stands, any other value is reached through the first head.
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
