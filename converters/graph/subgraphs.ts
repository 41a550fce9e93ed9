import type { AttributeValue, OnnxGraph, OnnxNode, OnnxTensor } from "../onnx/model.ts";

export const isGraph = (value: AttributeValue | undefined): value is OnnxGraph =>
  typeof value === "object" && "nodes" in value;

/** Identifies a node, also one without a name: no two nodes make the same value. */
export const firstOutput = (node: Pick<OnnxNode, "name" | "outputs">): string =>
  node.outputs.find(Boolean) ?? node.name;

/** Prefix of every name inside a subgraph; the exporter names the tensors there in the same way. */
export const subgraphPrefix = (node: string, attribute: string): string => `${node}/${attribute}/`;

export const functionKey = ({ domain, name }: { readonly domain: string; readonly name: string }): string =>
  `${domain}:${name}`;

/** Prefix of the name of a `Constant` in a function. All calls share the tensor, so it has one name. */
export const functionPrefix = (of: { readonly domain: string; readonly name: string }): string =>
  `${functionKey(of)}/`;

/** The subgraphs of a node, by attribute. */
export function subgraphsOf({ attributes }: OnnxNode): [string, OnnxGraph][] {
  const found: [string, OnnxGraph][] = [];
  for (const key in attributes) {
    const value = attributes[key];
    if (isGraph(value)) found.push([key, value]);
  }
  return found;
}

/**
 * Renames the values of a node. Values inside its subgraphs get its first output as a prefix, so that all
 * names are unique.
 */
export function renameNode(node: OnnxNode, names: ReadonlyMap<string, string>): OnnxNode {
  const to = (name: string) => names.get(name) ?? name;
  const outputs = node.outputs.map(to);
  const prefix = firstOutput({ name: node.name, outputs });
  return {
    ...node,
    inputs: node.inputs.map(to),
    outputs,
    attributes: Object.fromEntries(
      Object.entries(node.attributes).map(([key, value]) => [
        key,
        isGraph(value) ? renameGraph(value, names, subgraphPrefix(prefix, key)) : value,
      ]),
    ),
  };
}

function renameGraph(graph: OnnxGraph, outer: ReadonlyMap<string, string>, prefix: string): OnnxGraph {
  const names = new Map(outer);
  const own = [
    ...graph.initializers.keys(),
    ...graph.inputs.map(({ name }) => name),
    ...graph.nodes.flatMap(({ outputs }) => outputs),
  ];
  for (const name of own) if (name) names.set(name, prefix + name);
  const to = (name: string) => names.get(name) ?? name;
  return {
    name: graph.name,
    nodes: graph.nodes.map((node) => renameNode(node, names)),
    initializers: new Map(
      [...graph.initializers].map(([name, tensor]) => [to(name), { ...tensor, name: to(name) }]),
    ),
    inputs: graph.inputs.map((input) => ({ ...input, name: to(input.name) })),
    outputs: graph.outputs.map((output) => ({ ...output, name: to(output.name) })),
  };
}

/** Makes all names unique: a value in a subgraph becomes `<first output>/<attribute>/<name>`. */
export const qualifySubgraphs = (graph: OnnxGraph): OnnxGraph => ({
  ...graph,
  nodes: graph.nodes.map((node) => renameNode(node, new Map())),
});

/** The nodes and, recursively, those of their subgraphs. */
export function allNodes(nodes: readonly OnnxNode[], into: OnnxNode[] = []): OnnxNode[] {
  for (const node of nodes) {
    into.push(node);
    for (const [, graph] of subgraphsOf(node)) allNodes(graph.nodes, into);
  }
  return into;
}

/**
 * Values that a node reads: its inputs, and what its subgraphs take from the surrounding graph. Names must be
 * unique.
 */
export function usedValues(node: OnnxNode): string[] {
  const captured = subgraphsOf(node).flatMap(([, graph]) => {
    const own = new Set([
      ...graph.initializers.keys(),
      ...graph.inputs.map(({ name }) => name),
      ...graph.nodes.flatMap(({ outputs }) => outputs),
    ]);
    const used = [...graph.nodes.flatMap(usedValues), ...graph.outputs.map(({ name }) => name)];
    return used.filter((name) => name && !own.has(name));
  });
  return captured.length > 0 ? [...node.inputs, ...new Set(captured)] : [...node.inputs];
}

/** Initializers of a graph and of all its subgraphs. Names must be unique. */
export function initializersOf(graph: OnnxGraph): Map<string, OnnxTensor> {
  const found = new Map(graph.initializers);
  for (const node of graph.nodes)
    for (const [, inner] of subgraphsOf(node))
      for (const [name, tensor] of initializersOf(inner)) found.set(name, tensor);
  return found;
}
