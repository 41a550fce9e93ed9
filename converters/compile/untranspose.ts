import { elementCount } from "../dims.ts";
import type { EmittedNode } from "./graph-builder.ts";
import { isElementwise } from "./layout.ts";
import {
  alive,
  type Knowledge,
  type Lookups,
  lookups,
  makersOf,
  nodeOf,
  permOf,
  reshapeNode,
} from "./lookups.ts";

/** An order of a value's elements: the value reshaped to `view`, with its axes then permuted by `perm`. */
interface Order {
  readonly view: readonly number[];
  readonly perm: readonly number[];
}

const keyOf = ({ view, perm }: Order) => `${view}|${perm}`;
const permuted = ({ view, perm }: Order): readonly number[] => perm.map((axis) => view[axis]!);
const inverseOf = (perm: readonly number[]) => perm.map((_, i) => perm.indexOf(i));

/**
 * Removes pairs of transpositions around element-wise operators f: T(f(T⁻¹(a), T⁻¹(b))) = f(a, b). Winograd
 * convolutions (kernels/winograd.ts) store pixels first; activations, residual sums and ReLU masks between
 * them, and sums over pixels, then stay pixels first too.
 * @param nodes in topological order
 * @param graphOutputs names that must stay values of the graph
 */
export function untranspose(
  nodes: readonly EmittedNode[],
  graphOutputs: ReadonlySet<string>,
  knowledge: Knowledge,
): readonly EmittedNode[] {
  const costOf = (some: readonly EmittedNode[]) =>
    some.reduce(
      (sum, node) =>
        sum + (permOf(node) ? TRANSPOSING : Number(isElementwise(node))) * elementCount(node.shapes[0]!),
      0,
    );
  const through = (crossings: Crossings) => {
    const made = inOrder(nodes, graphOutputs, knowledge, crossings);
    return { crossings, made, cost: costOf(made) };
  };
  let now = through({ exits: new Map(), entries: new Set() });
  let best = now;
  for (const add of crossingsOf(nodes, graphOutputs).slice(0, MOST_CROSSINGS)) {
    const tried = through(add(now.crossings));
    // A crossing without cost is accepted too: it may make a later one pay, after a residual sum, say.
    if (tried.cost <= now.cost) now = tried;
    if (now.cost < best.cost) best = now;
  }
  return best.made;
}

/** Time to transpose an element, relative to an element-wise operator on it. */
const TRANSPOSING = 4;

/** Most crossings that are tried: each rewrites the whole graph once. */
const MOST_CROSSINGS = 100;

/** Where a Transpose is added because it makes others unnecessary. */
interface Crossings {
  /** Results of element-wise operators that are computed in this order and then transposed back. */
  readonly exits: ReadonlyMap<string, Order>;
  /** Transposed results of element-wise operators whose operands are transposed instead. */
  readonly entries: ReadonlySet<string>;
}

/**
 * Crossings that may pay, one by one: after and before element-wise operators on transposed values, the last
 * exits first.
 */
function crossingsOf(
  nodes: readonly EmittedNode[],
  graphOutputs: ReadonlySet<string>,
): readonly ((crossings: Crossings) => Crossings)[] {
  /** For each value the orders that it, or what it was computed from, had before a transposition. */
  const made = new Map<string, ReadonlyMap<string, Order>>();
  const ends = new Set<string>();
  const entries: string[] = [];
  for (const node of nodes) {
    const [output] = node.outputs as [string];
    if (permOf(node)) {
      if (made.has(node.inputs[0]!)) entries.push(output);
      const order = { view: node.shapes[0]!, perm: inverseOf(permOf(node)!) };
      made.set(output, new Map([[keyOf(order), order]]));
      continue;
    }
    const orders = node.inputs.flatMap((name) => [...(made.get(name) ?? [])]);
    if (orders.length === 0) continue;
    if (node.opType === "Reshape" || isElementwise(node)) made.set(output, new Map(orders));
    else for (const name of node.inputs) ends.add(name);
  }
  const maker = makersOf(nodes);
  const unviewed = (name: string): string => {
    const node = maker.get(name);
    return node?.opType === "Reshape" ? unviewed(node.inputs[0]!) : name;
  };
  const exits = [...new Set([...ends].map(unviewed))]
    .reverse()
    .filter((name) => !graphOutputs.has(name) && maker.has(name) && isElementwise(maker.get(name)!))
    .flatMap((name) => [...(made.get(name)?.values() ?? [])].map((order) => [name, order] as const));
  return [
    ...exits.map(([name, order]) => (crossings: Crossings) => ({
      ...crossings,
      exits: new Map([...crossings.exits, [name, order]]),
    })),
    ...entries.map((name) => (crossings: Crossings) => ({
      ...crossings,
      entries: new Set([...crossings.entries, name]),
    })),
  ];
}

function inOrder(
  nodes: readonly EmittedNode[],
  graphOutputs: ReadonlySet<string>,
  knowledge: Knowledge,
  { exits, entries }: Crossings,
): readonly EmittedNode[] {
  const { maker, shape } = lookups(nodes, graphOutputs, knowledge);
  /** The value of which this one is a view. */
  const unviewed = (name: string): string => {
    const node = maker.get(name);
    return node?.opType === "Reshape" && !graphOutputs.has(name) ? unviewed(node.inputs[0]!) : name;
  };

  /** Element type of a value; graph inputs here are floats. */
  const dtypeOf = (name: string): string => maker.get(name)?.dtypes[0] ?? "float32";

  /** Names of existing values in another order, by value and order. */
  const known = new Map<string, string>();
  const orders = new Map<string, Order>();
  const result: EmittedNode[] = [];
  const renamed = new Map<string, string>();

  /** Emits the value in the wanted order; undefined if that would need a transposition. */
  type Build = (() => string) | undefined;
  interface Search {
    readonly order: Order;
    readonly key: string;
    /** Whether operands in another order may be transposed. */
    readonly entering: boolean;
    /** Results of this search, so that a value with many readers is searched once. */
    readonly met: Map<string, Build>;
  }
  const found = (name: string, order: Order, entering = false): Build =>
    look(name, { order, key: keyOf(order), entering, met: new Map() });
  const look = (name: string, asked: Search): Build => {
    const source = unviewed(name);
    const { met } = asked;
    if (!met.has(source)) met.set(source, search(source, asked));
    return met.get(source);
  };
  const search = (source: string, asked: Search): Build => {
    const { order, key, entering } = asked;
    const place = `${source}|${key}`;
    const already = known.get(place);
    if (already !== undefined) return () => already;
    const node = maker.get(source);
    if (!node || node.outputs.length > 1) return undefined;
    const perm = permOf(node);
    if (perm) {
      // The node is T⁻¹ of a value that is in this order already.
      const inverse = perm.every((axis, i) => order.perm[axis] === i);
      const from = node.inputs[0]!;
      return inverse &&
        node.shapes[0]!.join() === order.view.join() &&
        shape(from)?.join() === permuted(order).join()
        ? () => renamed.get(from) ?? from
        : undefined;
    }
    const [dims] = node.shapes as [readonly number[]];
    if (!isElementwise(node) || graphOutputs.has(source)) return undefined;
    const operands: (() => string)[] = [];
    for (const operand of node.inputs) {
      const size = shape(operand);
      const single = size === undefined || (elementCount(size) === 1 && size.length <= order.perm.length);
      const build = single
        ? () => operand
        : size.join() === dims.join()
          ? (look(operand, asked) ?? (entering ? () => transposed(operand, order) : undefined))
          : broadcast(operand, size, dims, order);
      if (!build) return undefined;
      operands.push(build);
    }
    return () => {
      const built = known.get(place);
      if (built !== undefined) return built;
      const inputs = operands.map((operand) => operand());
      const output = `${source}order${known.size}`;
      result.push({ ...node, inputs, outputs: [output], shapes: [permuted(order)] });
      known.set(place, output);
      return output;
    };
  };

  const transposed = (name: string, order: Order): string => {
    const place = `${unviewed(name)}|${keyOf(order)}`;
    const already = known.get(place);
    if (already !== undefined) return already;
    const [open, output] = [`${name}open${known.size}`, `${name}order${known.size}`];
    result.push(
      reshapeNode([renamed.get(name) ?? name, open], order.view, dtypeOf(name), knowledge),
      transposeNode([open, output], order, dtypeOf(name)),
    );
    known.set(place, output);
    return output;
  };

  /** An operand that broadcasts along whole axes of the view, put into the order by a Reshape alone. */
  const broadcast = (
    operand: string,
    size: readonly number[],
    dims: readonly number[],
    { view, perm }: Order,
  ): Build => {
    const lifted = [...Array(dims.length - size.length).fill(1), ...size] as number[];
    const narrow: number[] = [];
    let at = 0;
    for (const whole of view) {
      const start = at;
      for (let count = 1; count < whole; at++) count *= dims[at] ?? Number.NaN;
      const [part, given] = [lifted.slice(start, at), dims.slice(start, at)];
      if (elementCount(given) !== whole) return undefined;
      if (part.join() !== given.join() && elementCount(part) !== 1) return undefined;
      narrow.push(elementCount(part));
    }
    const left = perm.filter((axis) => narrow[axis] !== 1);
    if (at !== dims.length || left.some((axis, i) => i > 0 && axis < left[i - 1]!)) return undefined;
    return () => {
      const place = `${operand}|${keyOf({ view: narrow, perm })}`;
      const built = known.get(place);
      if (built !== undefined) return built;
      const output = `${operand}order${known.size}`;
      known.set(place, output);
      result.push(
        reshapeNode(
          [renamed.get(operand) ?? operand, output],
          perm.map((axis) => narrow[axis]!),
          dtypeOf(operand),
          knowledge,
        ),
      );
      return output;
    };
  };

  for (const original of nodes) {
    const node: EmittedNode = {
      ...original,
      inputs: original.inputs.map((name) => renamed.get(name) ?? name),
    };
    const [output] = node.outputs as [string];
    if (permOf(node) && !graphOutputs.has(output)) {
      const [from] = original.inputs as [string];
      const order: Order = { view: shape(from)!, perm: permOf(node)! };
      const key = keyOf(order);
      orders.set(key, order);
      const build = found(from, order, entries.has(output));
      if (build) {
        renamed.set(output, build());
        continue;
      }
      known.set(`${unviewed(from)}|${key}`, output);
    }
    const exit = exits.get(output);
    const value = exit && found(output, exit);
    if (value) {
      const back = `${output}back`;
      result.push(
        transposeNode([value(), back], { view: permuted(exit), perm: inverseOf(exit.perm) }, dtypeOf(output)),
        reshapeNode([back, output], node.shapes[0]!, dtypeOf(output), knowledge),
      );
      continue;
    }
    const sum = overPixels(original, maker, knowledge);
    if (sum) {
      const order = [...orders.values()].find(
        ({ view, perm }) => perm.join() === "2,0,1,3" && fits(view, sum.view),
      );
      const build = order && found(sum.source, order);
      if (build) {
        const value = build();
        const [images, blocks, , block] = order!.view as [number, number, number, number];
        const placed = `${output}places`;
        const inputs = [value, knowledge.ints([0])];
        result.push(
          { ...node, inputs, outputs: [placed], shapes: [[images, blocks, block]] },
          reshapeNode([placed, output], node.shapes[0]!, node.dtypes[0]!, knowledge),
        );
        continue;
      }
    }
    result.push(node);
  }
  return alive(result, graphOutputs);
}

const transposeNode = ([from, name]: readonly [string, string], order: Order, dtype: string): EmittedNode =>
  nodeOf("Transpose", [from], { name, shape: permuted(order), dtype }, { perm: { ints: order.perm } });

/**
 * Recognises a reduction over the pixels of a blocked value (layout.ts), reshaped to `view`
 * [images · blocks, pixels, block].
 */
function overPixels(
  { opType, inputs: [name, axes], shapes }: EmittedNode,
  maker: Lookups["maker"],
  { intsOf }: Knowledge,
): { readonly source: string; readonly view: readonly number[] } | undefined {
  if (!/^Reduce(Sum|Mean|Max|Min)$/.test(opType) || intsOf(axes ?? "")?.join() !== "1") return undefined;
  const reshape = maker.get(name!);
  if (reshape?.opType !== "Reshape" || shapes[0]!.length !== 2) return undefined;
  const [view] = reshape.shapes as [readonly number[]];
  return view.length === 3 ? { source: reshape.inputs[0]!, view } : undefined;
}

/** Whether [N, C/b, pixels, b] is the same memory as `view` [N·C/b, pixels, b]. */
const fits = ([images, blocks, places, block]: readonly number[], view: readonly number[]) =>
  images! * blocks! === view[0] && places === view[1] && block === view[2];
