import { notTrainable } from "../errors.ts";
import type { OnnxGraph, OnnxNode } from "../onnx/model.ts";
import type { Head } from "./model.ts";

/** Nodes that change neither which class wins nor what a logit is. */
const TRANSPARENT = new Set(["Identity", "Cast", "Dropout"]);

const KIND: Readonly<Record<string, Head["outputKind"]>> = {
  Softmax: "probabilities",
  LogSoftmax: "log-probabilities",
  Sigmoid: "sigmoid",
  ArgMax: "labels",
  ZipMap: "probabilities",
};

/** Walks from a graph output back over the tail (Softmax, ArgMax, ZipMap …) to the logits. */
function tapBeforeTail(graph: OnnxGraph, producer: ReadonlyMap<string, OnnxNode>, output: string): Head {
  let value = output;
  let kind: Head["outputKind"] = "logits";
  for (;;) {
    const node = producer.get(value);
    if (!node) break;
    const next = KIND[node.opType];
    if (next) {
      // The first tail node met from the end decides what the output holds; ArgMax over Softmax still gives labels.
      if (kind === "logits") kind = next;
    } else if (!TRANSPARENT.has(node.opType)) break;
    value = node.inputs[0]!;
    if (next === "probabilities" || next === "log-probabilities" || next === "sigmoid") {
      // Behind one squashing there is no second one.
      if (node.opType !== "ZipMap") break;
    }
  }
  if (graph.initializers.has(value)) value = output;
  return { logits: value, output, outputKind: kind };
}

/**
 * Finds the logits: the value before a trailing Softmax/LogSoftmax/Sigmoid/ArgMax/ZipMap, or the output itself.
 * @throws notTrainable LOGITS_AMBIGUOUS with the candidates, LOGITS_UNKNOWN for a `--logits` that is no value of the graph
 */
export function findHead(graph: OnnxGraph, wanted: string | undefined): Head {
  const producer = new Map<string, OnnxNode>();
  for (const node of graph.nodes) for (const output of node.outputs) if (output) producer.set(output, node);
  const heads = graph.outputs.map(({ name }) => tapBeforeTail(graph, producer, name));
  if (wanted !== undefined) {
    if (!producer.has(wanted))
      throw notTrainable(
        "LOGITS_UNKNOWN",
        `--logits ${wanted}: no node makes a value of this name; candidates: ${[...new Set(heads.map((h) => h.logits))].join(", ")}.`,
      );
    const found = heads.find((h) => h.logits === wanted) ?? heads.find((h) => h.output === wanted);
    if (found)
      return { ...found, logits: wanted, outputKind: found.output === wanted ? "logits" : found.outputKind };
    const [first] = heads;
    if (!first)
      throw notTrainable("LOGITS_NOT_FOUND", "The graph has no outputs, so there is nothing to train on.");
    return { ...first, logits: wanted };
  }
  if (heads.length === 0)
    throw notTrainable("LOGITS_NOT_FOUND", "The graph has no outputs, so there is nothing to train on.");
  const distinct = [...new Set(heads.map((h) => h.logits))];
  if (distinct.length > 1)
    throw notTrainable(
      "LOGITS_AMBIGUOUS",
      `The graph has several possible logits (${distinct.join(", ")}); choose one with --logits NAME.`,
    );
  // Prefer the output that says most: logits, then probabilities, then bare labels.
  const rank = ["logits", "log-probabilities", "probabilities", "sigmoid", "labels"];
  return [...heads].sort((a, b) => rank.indexOf(a.outputKind) - rank.indexOf(b.outputKind))[0]!;
}
