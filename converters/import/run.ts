import { badInput, notTrainable, OnnxUnlearnError } from "../errors.ts";
import { requiredNodes } from "../graph/order.ts";
import { subgraphsOf } from "../graph/subgraphs.ts";
import type { OnnxGraph, OnnxNode } from "../onnx/model.ts";
import { adaptInputs, mixesSamples, type Rebatching } from "./batch.ts";
import type { Operator } from "./operator.ts";
import { describeNode, getOperator } from "./registry.ts";
import { dimsOf, hostFromOnnx, type Value } from "./value.ts";

export interface PlannedNode {
  readonly node: OnnxNode;
  readonly run: Operator;
  readonly opset: number;
  readonly where: string;
  readonly subgraphs?: Readonly<Record<string, Plan>>;
}

/** A graph ready to run: its nodes in order, its constants decoded. */
export interface Plan {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly PlannedNode[];
  readonly constants: ReadonlyMap<string, Value>;
}

/** Options of a run of a graph. */
export interface RunOptions {
  readonly rebatching?: Rebatching;
  /** Called with every value made, to record shapes. */
  readonly onValue?: (name: string, value: Value) => void;
  /** Called if a node of a re-batched graph mixes samples. */
  readonly onMixing?: (where: string, why: string) => void;
}

/**
 * Plans the nodes that `outputs` depend on.
 * @param isGiven names of values that the caller provides: the trained weights
 * @throws notTrainable OPERATOR_UNKNOWN naming operator, node, domain and opset
 */
export function planGraph(
  graph: OnnxGraph,
  outputs: readonly string[],
  opsets: ReadonlyMap<string, number>,
  isGiven: (name: string) => boolean,
  outer: ReadonlySet<string> = new Set(),
): Plan {
  // Values that a subgraph may use; collected only if there is a subgraph.
  let visible: ReadonlySet<string> | undefined;
  const visibleInside = () => {
    visible ??= new Set([
      ...outer,
      ...graph.initializers.keys(),
      ...graph.inputs.map(({ name }) => name),
      ...graph.nodes.flatMap((node) => node.outputs),
    ]);
    return visible;
  };
  const nodes = requiredNodes(graph, outputs, outer)
    .filter((node) => !(node.opType === "Constant" && isGiven(node.outputs[0]!)))
    .map((node): PlannedNode => {
      const opset = node.opset ?? opsets.get(node.domain) ?? 1;
      const inner = subgraphsOf(node).map(
        ([key, body]) =>
          [
            key,
            planGraph(
              body,
              body.outputs.map(({ name }) => name),
              opsets,
              isGiven,
              visibleInside(),
            ),
          ] as const,
      );
      return {
        node,
        opset,
        where: describeNode(node, opset),
        run: getOperator(node, opset),
        ...(inner.length > 0 ? { subgraphs: Object.fromEntries(inner) } : {}),
      };
    });
  const constants = new Map<string, Value>();
  for (const [name, tensor] of graph.initializers)
    if (!isGiven(name) && tensor.dtype !== "string") constants.set(name, hostFromOnnx(tensor));
  return { inputs: graph.inputs.map(({ name }) => name), outputs, nodes, constants };
}

/** Runs one operator; an error inside it becomes a message with the node's name. */
export function runNode(
  planned: PlannedNode,
  values: ReadonlyMap<string, Value>,
  options: RunOptions = {},
): readonly Value[] {
  const { node, run, opset, where, subgraphs } = planned;
  const { rebatching, onMixing } = options;
  const found = node.inputs.map((name) => {
    if (!name) return undefined;
    const value = values.get(name);
    if (value === undefined) throw badInput("VALUE_UNKNOWN", `${where}: input "${name}" has no value.`);
    return value;
  });
  const inputs = rebatching ? adaptInputs(node, run.facts, found, rebatching) : found;
  try {
    const result = run(inputs, node.attributes as never, {
      node,
      opset,
      where,
      ...(subgraphs
        ? {
            subgraph: (attribute: string, given: readonly Value[]) =>
              runSubgraph(subgraphs[attribute]!, values, given, options),
          }
        : {}),
    });
    const outputs = Array.isArray(result) ? result : [result];
    if (rebatching && onMixing) {
      const why = mixesSamples(node, run.facts, found, outputs, rebatching);
      if (why) onMixing(where, why);
    }
    return outputs;
  } catch (error) {
    if (error instanceof OnnxUnlearnError) throw error;
    const shapes = inputs.map((v) => (v ? `[${dimsOf(v)}]` : "-")).join(", ");
    throw notTrainable("OPERATOR_FAILED", `${where}: ${(error as Error).message} (input shapes ${shapes}).`);
  }
}

function runSubgraph(
  plan: Plan,
  outer: ReadonlyMap<string, Value>,
  given: readonly Value[],
  options: RunOptions,
): Value[] {
  const values = new Map([...outer, ...plan.constants]);
  plan.inputs.forEach((name, i) => {
    const value = given[i];
    if (value !== undefined) values.set(name, value);
  });
  runGraph(plan, values, options);
  return plan.outputs.map((name) => values.get(name)!);
}

/** Runs the nodes in order and adds their outputs to `values`. */
export function runGraph(plan: Plan, values: Map<string, Value>, options: RunOptions = {}): void {
  for (const planned of plan.nodes) {
    const outputs = runNode(planned, values, options);
    planned.node.outputs.forEach((name, i) => {
      const value = outputs[i];
      if (!name || value === undefined) return;
      values.set(name, value);
      options.onValue?.(name, value);
    });
  }
}
