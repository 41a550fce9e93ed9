import { elementCount } from "./dims.ts";
import { type ErrorCode, OnnxUnlearnError } from "./errors.ts";
import { requiredNodes } from "./graph/order.ts";
import { allNodes, usedValues } from "./graph/subgraphs.ts";
import { requireClasses } from "./import/graph.ts";
import { headCandidates } from "./import/head.ts";
import type { Batching, Head, ImportOptions, TrainableModel } from "./import/model.ts";
import { normalizeGraph } from "./import/normalize.ts";
import { requireFinite } from "./import/parameters.ts";
import { findOperator } from "./import/registry.ts";
import { importModel } from "./importer.ts";
import type { OnnxModel, OnnxNode, OnnxValueInfo } from "./onnx/model.ts";

/** Why something cannot be done with a file: an error's `code` and its sentence. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
}

/** Whether a refusal is more informative than "ONNX Runtime cannot load the file". */
export const saysMore = ({ code }: Refusal): boolean =>
  code === "TRAINING_GRAPH" || code === "NO_WEIGHTS" || code === "LOGITS_NOT_FOUND";

export interface OperatorUse {
  readonly domain: string;
  readonly operator: string;
  readonly count: number;
  /** "trainable": differentiated in training; "frozen": needs no gradient; "refused": cannot be imported. */
  readonly mark: "trainable" | "frozen" | "refused";
  readonly because: string | undefined;
}

/** The contents of a model and whether it can be trained: everything that `inspect` prints. */
export interface Examination {
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
  /** Every value that could be the logits, and the output it leads to. */
  readonly candidates: readonly Head[];
  readonly operators: readonly OperatorUse[];
  /** Why the model cannot be trained; undefined if it can. */
  readonly refusal: Refusal | undefined;
  /** The imported model; undefined if it is refused. */
  readonly model: TrainableModel | undefined;
  readonly batching: Batching | undefined;
  /** Shape of the logits for one sample; undefined if it depends on open dimensions. */
  readonly logitsShape: readonly number[] | undefined;
  /**
   * Estimated bytes of a training step: `weights` for weights, gradients and momentum; `perSample` for the
   * activations of one sample and their gradients.
   */
  readonly memory: { readonly weights: number; readonly perSample: number | undefined } | undefined;
  /** Weights to try first on a large model: those of the last layers. Empty: all weights. */
  readonly suggestedTrain: readonly string[];
}

/** From this many weights on, training the last layers alone is suggested. */
const LARGE = 1_000_000;
/** Largest share of all weights that is suggested. */
const SHARE = 0.2;

function operatorsOf(
  source: OnnxModel,
  nodes: readonly OnnxNode[],
  needed: ReadonlySet<OnnxNode>,
  trained: ReadonlySet<string>,
  isImported: boolean,
): OperatorUse[] {
  // Values that depend on a trained weight.
  const hot = new Set(trained);
  for (const node of needed)
    if (usedValues(node).some((name) => hot.has(name))) for (const output of node.outputs) hot.add(output);
  const judge = (node: OnnxNode): Pick<OperatorUse, "mark" | "because"> => {
    const known = findOperator(node, node.opset ?? source.opsets.get(node.domain) ?? 1);
    if (!needed.has(node)) return { mark: "frozen", because: "not on the way to the logits" };
    if (!known)
      return isImported
        ? { mark: "frozen", because: "run by ONNX Runtime before training" }
        : { mark: "refused", because: "not known here, and the logits depend on it" };
    if (!usedValues(node).some((name) => hot.has(name)))
      return { mark: "frozen", because: "before the first trained weight" };
    if (known.facts.gradient === "zero" && node.opType !== "QuantizeLinear")
      return { mark: "frozen", because: "has no gradient" };
    return { mark: "trainable", because: undefined };
  };
  const uses = new Map<string, OperatorUse>();
  const order = ["refused", "trainable", "frozen"] as const;
  for (const node of allNodes(nodes)) {
    const { mark, because } = judge(node);
    const key = `${node.domain}/${node.opType}/${mark}/${because}`;
    const known = uses.get(key);
    uses.set(key, {
      domain: node.domain || "ai.onnx",
      operator: node.opType,
      mark,
      because,
      count: (known?.count ?? 0) + 1,
    });
  }
  const named = ({ domain, operator }: OperatorUse) => `${domain}${operator}`;
  return [...uses.values()].sort(
    (a, b) => order.indexOf(a.mark) - order.indexOf(b.mark) || (named(a) < named(b) ? -1 : 1),
  );
}

/**
 * Input shapes for one sample, or for the fixed batch of the file; undefined if another dimension is open.
 */
function oneSample(model: TrainableModel): Record<string, readonly number[]> | undefined {
  const shapes: Record<string, readonly number[]> = {};
  for (const { name, dims } of model.inputs) {
    if (!dims?.every((d, i) => typeof d === "number" || i === 0)) return undefined;
    shapes[name] = dims.map((d) => (typeof d === "number" ? d : 1));
  }
  return shapes;
}

/** The weights nearest to the logits, layer by layer, up to SHARE of all; none for a small model. */
function lastLayers(model: TrainableModel, nodes: readonly OnnxNode[]): string[] {
  const sizes = new Map(
    model.parameters.filter((p) => p.trainable).map(({ name, dims }) => [name, elementCount(dims)]),
  );
  const total = [...sizes.values()].reduce((a, b) => a + b, 0);
  if (total < LARGE) return [];
  const chosen: string[] = [];
  let held = 0;
  for (const node of [...nodes].reverse()) {
    const names = usedValues(node).filter((name) => sizes.has(name) && !chosen.includes(name));
    const weight = names.reduce((sum, name) => sum + sizes.get(name)!, 0);
    if (held + weight > SHARE * total) break;
    chosen.push(...names);
    held += weight;
  }
  return chosen;
}

/**
 * Inspects a model without computing anything. A model that cannot be trained does not throw: `refusal` says
 * why.
 */
export function examine(source: OnnxModel, options: ImportOptions = {}): Examination {
  const refusalOf = (error: unknown): Refusal => {
    if (error instanceof OnnxUnlearnError) return { code: error.code, message: error.message };
    throw error;
  };
  const facts = { inputs: source.graph.inputs, outputs: source.graph.outputs };
  const nothing = {
    ...facts,
    candidates: [],
    operators: [],
    model: undefined,
    batching: undefined,
    logitsShape: undefined,
    memory: undefined,
    suggestedTrain: [],
  };
  let graph: ReturnType<typeof normalizeGraph>;
  let candidates: Head[];
  try {
    graph = normalizeGraph(source);
    candidates = headCandidates(graph);
  } catch (error) {
    return { ...nothing, refusal: refusalOf(error) };
  }
  let model: TrainableModel;
  try {
    model = importModel(source, options);
  } catch (error) {
    let needed: OnnxNode[] = [];
    try {
      needed = requiredNodes(
        graph,
        options.logits ? [options.logits] : candidates.map((head) => head.logits),
      );
    } catch {
      // The graph is damaged, which the refusal says.
    }
    const operators = operatorsOf(source, graph.nodes, new Set(allNodes(needed)), new Set(), false);
    return { ...nothing, candidates, operators, refusal: refusalOf(error) };
  }
  const nodes = requiredNodes(graph, [model.head.logits]);
  const trained = model.parameters.filter((p) => p.trainable);
  const operators = operatorsOf(
    source,
    graph.nodes,
    new Set(allNodes(nodes)),
    new Set(trained.map(({ name }) => name)),
    true,
  );
  const count = (of: TrainableModel["parameters"]) =>
    of.reduce((sum, { dims }) => sum + elementCount(dims), 0);
  // Weight and momentum, each twice (a run reads one copy and writes the other), and the gradient.
  const weights = 4 * (5 * count(trained) + (count(model.parameters) - count(trained)));
  let perSample: number | undefined;
  let refusal: Refusal | undefined;
  let logitsShape: readonly number[] | undefined;
  const sample = model.frontier.length > 0 ? undefined : oneSample(model);
  if (sample) {
    try {
      const shapes = model.shapes(sample);
      logitsShape = shapes.get(model.head.logits);
      const made = new Set(allNodes(nodes).flatMap(({ outputs }) => outputs));
      let elements = 0;
      for (const [name, dims] of shapes) if (made.has(name)) elements += elementCount(dims);
      perSample = (4 * 2 * elements) / (model.fixedBatch ?? 1);
    } catch (error) {
      return { ...nothing, candidates, operators, refusal: refusalOf(error) };
    }
  }
  // The rest is reported all the same: the user may choose another value as the logits.
  if (logitsShape)
    try {
      requireClasses(logitsShape, model.head.logits);
    } catch (error) {
      refusal = refusalOf(error);
    }
  try {
    requireFinite(model.parameters);
  } catch (error) {
    refusal ??= refusalOf(error);
  }
  return {
    ...facts,
    candidates,
    operators,
    refusal,
    model,
    batching: model.batching,
    logitsShape,
    memory: { weights, perSample },
    suggestedTrain: lastLayers(model, nodes),
  };
}
