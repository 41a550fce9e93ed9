import type { EmittedNode, GraphValue } from "./graph-builder.ts";

/** What a pass can ask about graph inputs and constants, and the constants it can add. */
export interface Knowledge {
  /** The value of a constant scalar. */
  readonly scalarOf: (name: string) => number | undefined;
  /** Shape of a graph input or constant. */
  readonly shapeOf: (name: string) => readonly number[] | undefined;
  /** The integers of a constant list, such as axes. */
  readonly intsOf: (name: string) => readonly number[] | undefined;
  /** Name of a constant list of integers. */
  readonly ints: (values: readonly number[]) => string;
  /** Name of a constant int32 list of indices. */
  readonly indices: (values: Int32Array) => string;
  /** Name of a constant tensor of ones. */
  readonly ones: (dims: readonly number[]) => string;
  /** Name of a constant scalar. */
  readonly number: (value: number) => string;
  /** The carry output that replaces a carry input in the next step, and could be written into its memory. */
  readonly successorOf: (name: string) => string | undefined;
  /**
   * Requests that a velocity be stored next to its weight, see {@link VelocityPair}; undefined unless the
   * caller allocates the memory.
   * @param factors what the velocity and the weight are multiplied by
   * @returns names of two graph inputs: both values as one [1, 2, elements], and their factors [1, 2, 1]
   */
  readonly pairVelocity?: (
    velocity: string,
    weight: string,
    factors: readonly [number, number],
  ) => { readonly both: string; readonly factors: string };
}

export interface Lookups {
  /** How often a value is read. */
  readonly uses: ReadonlyMap<string, number>;
  readonly maker: ReadonlyMap<string, EmittedNode>;
  /** Shape of any value. */
  readonly shape: (name: string) => readonly number[] | undefined;
  /**
   * Whether a value is read once and is no graph output, so that the node that reads it may be merged with
   * the one that makes it.
   */
  readonly once: (name: string) => boolean;
}

/**
 * Indexes a graph for a pass.
 * @param graphOutputs names that must stay values of the graph
 */
export function lookups(
  nodes: readonly EmittedNode[],
  graphOutputs: ReadonlySet<string>,
  { shapeOf }: Knowledge,
): Lookups {
  const uses = new Map<string, number>();
  for (const { inputs } of nodes)
    for (const name of inputs) if (name) uses.set(name, (uses.get(name) ?? 0) + 1);
  const maker = makersOf(nodes);
  const shape = (name: string) => {
    const node = maker.get(name);
    return node ? node.shapes[node.outputs.indexOf(name)] : shapeOf(name);
  };
  return { uses, maker, shape, once: (name) => uses.get(name) === 1 && !graphOutputs.has(name) };
}

/** The node that makes each value. */
export const makersOf = (nodes: readonly EmittedNode[]): ReadonlyMap<string, EmittedNode> =>
  new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));

/** The nodes that read each value. */
export function readersOf(nodes: readonly EmittedNode[]): ReadonlyMap<string, readonly EmittedNode[]> {
  const readers = new Map<string, EmittedNode[]>();
  for (const node of nodes)
    for (const name of new Set(node.inputs)) {
      const known = readers.get(name);
      if (known) known.push(node);
      else readers.set(name, [node]);
    }
  return readers;
}

/** The nodes that these values depend on. ONNX Runtime would also run the others. */
export function alive(nodes: readonly EmittedNode[], values: Iterable<string>): readonly EmittedNode[] {
  const needed = new Set(values);
  const found: EmittedNode[] = [];
  for (const node of [...nodes].reverse()) {
    if (!node.outputs.some((name) => needed.has(name))) continue;
    for (const name of node.inputs) needed.add(name);
    found.push(node);
  }
  return found.reverse();
}

/** The nodes without `gone`, and with each key of `replaced` replaced by its nodes. */
export const rewritten = (
  nodes: readonly EmittedNode[],
  gone: ReadonlySet<EmittedNode>,
  replaced: ReadonlyMap<EmittedNode, readonly EmittedNode[]>,
): readonly EmittedNode[] =>
  nodes.filter((node) => !gone.has(node)).flatMap((node) => replaced.get(node) ?? [node]);

/** The permutation of a Transpose. */
export const permOf = ({ opType, domain, attributes }: EmittedNode): readonly number[] | undefined =>
  opType === "Transpose" && domain === ""
    ? (attributes["perm"] as { readonly ints: readonly number[] } | undefined)?.ints
    : undefined;

/** A flag among a node's attributes, false if absent. */
export const flagOf = ({ attributes }: EmittedNode, name: string): boolean =>
  ((attributes[name] as { readonly int: number } | undefined)?.int ?? 0) !== 0;

/** A node of ai.onnx with one output, which is float32 unless stated. */
export const nodeOf = (
  opType: string,
  inputs: readonly string[],
  output: Omit<GraphValue, "dtype"> & { readonly dtype?: string },
  attributes: EmittedNode["attributes"] = {},
): EmittedNode => ({
  ...{ opType, domain: "", inputs, outputs: [output.name] },
  ...{ shapes: [output.shape], dtypes: [output.dtype ?? "float32"], attributes },
});

/** A Reshape node from one value to another. */
export const reshapeNode = (
  [from, name]: readonly [string, string],
  shape: readonly number[],
  dtype: string,
  { ints }: Knowledge,
): EmittedNode => nodeOf("Reshape", [from, ints(shape)], { name, shape, dtype });
