import { isDeepStrictEqual } from "node:util";
import { elementCount } from "../dims.ts";
import { constantTensor } from "../graph/constants.ts";
import { normalForm } from "../graph/normal-form.ts";
import { type ExternalEntry, externalEntries, type PayloadSite, payloadSites } from "../graph/payloads.ts";
import { quantisedWeights } from "../graph/quantised-weights.ts";
import { allNodes, initializersOf, subgraphsOf } from "../graph/subgraphs.ts";
import type { DataType, OnnxGraph, OnnxModel, OnnxNode, OnnxTensor } from "../onnx/model.ts";
import { applyEdits, type Edit } from "./edits.ts";
import { type ElementFormat, formatOf } from "./patch.ts";

/** How the values of a float tensor differ between two files. */
export interface TensorChange {
  readonly name: string;
  readonly dtype: DataType;
  readonly elements: number;
  /** Elements that differ; NaN equals NaN, 0 differs from -0. */
  readonly changedElements: number;
  /** Largest |after - before|; NaN where a value became or stopped being NaN or infinite. */
  readonly maxAbsChange: number;
}

export interface StructureComparison {
  /** Everything but the values of float weights is the same, byte for byte. */
  readonly identicalStructure: boolean;
  /** One phrase per difference outside the values of float weights. */
  readonly differences: readonly string[];
  /** In the order of the file. */
  readonly changedTensors: readonly TensorChange[];
}

/**
 * The format of a tensor whose values may differ (floats, codes of quantised weights); undefined for others.
 */
type Openness = (site: PayloadSite) => ElementFormat | undefined;

/** All tensors by the exporter's names, including those in subgraphs, functions and attributes. */
function tensors(graph: OnnxGraph): ReadonlyMap<string, OnnxTensor> {
  const all = initializersOf(graph);
  for (const node of allNodes(graph.nodes)) {
    const tensor = constantTensor(node);
    if (tensor) all.set(node.outputs[0] ?? "", tensor);
  }
  return all;
}

/** A node without the values that may differ. */
function comparable(node: OnnxNode, open: ReadonlySet<string>): OnnxNode {
  if (node.opType === "Constant" && open.has(node.outputs[0] ?? "")) return { ...node, attributes: {} };
  const inner = subgraphsOf(node).map(([key, graph]) => [
    key,
    {
      ...graph,
      nodes: graph.nodes.map((child) => comparable(child, open)),
      initializers: new Map(
        [...graph.initializers].map(([name, tensor]) => [
          name,
          open.has(name) ? { ...tensor, data: [] } : tensor,
        ]),
      ),
    },
  ]);
  return { ...node, attributes: { ...node.attributes, ...Object.fromEntries(inner) } };
}

/**
 * The file without float payloads and the names of external data; around names and varint payloads the length
 * prefixes go too, as they follow the values.
 */
function skeleton(
  bytes: Uint8Array,
  sites: readonly PayloadSite[],
  external: readonly ExternalEntry[],
  isOpen: Openness,
): Uint8Array {
  const cuts = new Map<number, Edit>();
  const cut = (start: number, end: number) =>
    cuts.set(start, { start, end, bytes: new Uint8Array(), inside: undefined });
  for (const site of sites) {
    if (!isOpen(site)) continue;
    for (const { start, end, inside } of site.chunks) {
      if (end > start) cut(start, end);
      if (site.storage !== "varints") continue;
      for (let prefix = inside; prefix; prefix = prefix.parent) cut(prefix.at, prefix.body);
    }
  }
  for (const { start, end, inside } of external.flatMap(({ name, checksum }) =>
    [name, checksum ?? []].flat(),
  )) {
    if (end > start) cut(start, end);
    for (let prefix = inside; prefix; prefix = prefix.parent) cut(prefix.at, prefix.body);
  }
  return applyEdits(bytes, [...cuts.values()]);
}

/** Side files with the float payloads zeroed. */
function maskedSideFiles(
  model: OnnxModel,
  all: ReadonlyMap<string, OnnxTensor>,
  sites: readonly PayloadSite[],
  isOpen: Openness,
): Map<string, Uint8Array> {
  const files = new Map(
    [...(model.sideFiles ?? [])].map(([path, bytes]) => [path, new Uint8Array(bytes)] as const),
  );
  for (const site of sites) {
    const { key, external } = site;
    const format = isOpen(site);
    const tensor = all.get(key);
    if (!external || !format || !tensor) continue;
    const length = elementCount(tensor.dims) * format.width;
    files.get(external.location)?.fill(0, external.offset, external.offset + length);
  }
  return files;
}

/** How two tensors of the same type and shape differ; undefined if all elements are equal. */
function tensorChange(before: OnnxTensor, after: OnnxTensor): TensorChange | undefined {
  let changedElements = 0;
  let maxAbsChange = 0;
  for (let i = 0; i < before.data.length; i++) {
    const [old, now] = [Number(before.data[i]), Number(after.data[i])];
    if (Object.is(old, now)) continue;
    changedElements++;
    const change = Math.abs(now - old);
    if (!(change <= maxAbsChange)) maxAbsChange = change;
  }
  if (changedElements === 0) return undefined;
  return {
    name: before.name,
    dtype: before.dtype,
    elements: before.data.length,
    changedElements,
    maxAbsChange,
  };
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/**
 * Checks that `after` is `before` with only float weights changed. Graphs and tensors are compared first, for
 * differences with names; then all other bytes, for what decoding does not show.
 */
export function compareStructure(before: OnnxModel, after: OnnxModel): StructureComparison {
  const differences: string[] = [];
  const changedTensors: TensorChange[] = [];
  const same = (what: string, a: unknown, b: unknown): void => {
    if (!isDeepStrictEqual(a, b)) differences.push(`${what} differs`);
  };
  same("the IR version", before.irVersion, after.irVersion);
  same("the opset import", before.opsets, after.opsets);
  same("the producer", before.producer, after.producer);
  same("the metadata", before.metadata, after.metadata);
  same("the list of graph inputs", before.graph.inputs, after.graph.inputs);
  same("the list of graph outputs", before.graph.outputs, after.graph.outputs);

  const [sitesBefore, sitesAfter] = [payloadSites(before.bytes), payloadSites(after.bytes)];
  const [graphBefore, graphAfter] = [normalForm(before), normalForm(after)];
  const quantised = quantisedWeights(graphBefore);
  const isOpen: Openness = (site) => formatOf(site, quantised);
  const open = new Set(sitesBefore.filter(isOpen).map(({ key }) => key));
  if (graphBefore.nodes.length !== graphAfter.nodes.length) {
    differences.push(
      `the number of nodes differs: ${graphBefore.nodes.length} and ${graphAfter.nodes.length}`,
    );
  } else {
    for (const [index, node] of graphBefore.nodes.entries()) {
      same(
        `node ${index} (${node.opType} "${node.name}")`,
        comparable(node, open),
        comparable(graphAfter.nodes[index]!, open),
      );
    }
  }

  const [tensorsBefore, tensorsAfter] = [tensors(graphBefore), tensors(graphAfter)];
  for (const name of tensorsAfter.keys()) {
    if (!tensorsBefore.has(name)) differences.push(`tensor "${name}" is new`);
  }
  for (const [name, old] of tensorsBefore) {
    const now = tensorsAfter.get(name);
    if (!now) differences.push(`tensor "${name}" is gone`);
    else if (old.dtype !== now.dtype || !isDeepStrictEqual(old.dims, now.dims)) {
      differences.push(`tensor "${name}" has another type or shape`);
    } else if (!open.has(name)) same(`${old.dtype} tensor "${name}"`, old.data, now.data);
    else {
      const change = tensorChange(old, now);
      if (change) changedTensors.push({ ...change, name });
    }
  }

  const [sidesBefore, sidesAfter] = [
    maskedSideFiles(before, tensorsBefore, sitesBefore, isOpen),
    maskedSideFiles(after, tensorsAfter, sitesAfter, isOpen),
  ];
  const [externalBefore, externalAfter] = [externalEntries(before.bytes), externalEntries(after.bytes)];
  // Changed data have another name: the tensors say which file stands for which.
  const renamed = new Map(externalBefore.map(({ location }, i) => [location, externalAfter[i]?.location]));
  same(
    "the list of external data files",
    externalBefore.map(({ location }) => renamed.get(location)),
    externalAfter.map(({ location }) => location),
  );
  for (const [path, bytes] of sidesBefore) {
    if (!sameBytes(bytes, sidesAfter.get(renamed.get(path) ?? path) ?? new Uint8Array())) {
      differences.push(`the external data file "${path}" differs outside the float weights`);
    }
  }
  if (
    !sameBytes(
      skeleton(before.bytes, sitesBefore, externalBefore, isOpen),
      skeleton(after.bytes, sitesAfter, externalAfter, isOpen),
    ) &&
    differences.length === 0
  ) {
    differences.push("bytes outside the float weights differ");
  }
  return { identicalStructure: differences.length === 0, differences, changedTensors };
}
