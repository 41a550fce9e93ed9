import { elementCount } from "../dims.ts";
import type { EmittedNode } from "./graph-builder.ts";
import { isElementwise } from "./layout.ts";
import { alive, type Knowledge, type Lookups, lookups, makersOf, permOf, reshapeNode } from "./lookups.ts";

/** A rearrangement of a value's elements: of the value under this shape, by this permutation of its axes. */
interface Order {
  readonly view: readonly number[];
  readonly perm: readonly number[];
}

const keyOf = ({ view, perm }: Order) => `${view}|${perm}`;
const permuted = ({ view, perm }: Order): readonly number[] => perm.map((axis) => view[axis]!);
const inverseOf = (perm: readonly number[]) => perm.map((_, i) => perm.indexOf(i));

/**
 * Carries on in the order in which a value was made, where it is transposed, goes through element-wise operators and is transposed
 * back: T(f(T⁻¹(a), T⁻¹(b))) = f(a, b). Between Winograd convolutions (kernels/winograd.ts) activations, residual sums and ReLU masks then
 * stay in the order of the places; a sum over the places is taken there too.
 * @param nodes in an order in which every value is made before it is used
 * @param kept names that must stay values of the graph: its outputs
 */
export function untranspose(
  nodes: readonly EmittedNode[],
  kept: ReadonlySet<string>,
  knowledge: Knowledge,
): readonly EmittedNode[] {
  const costOf = (some: readonly EmittedNode[]) =>
    some.reduce(
      (sum, node) =>
        sum + (permOf(node) ? TRANSPOSING : Number(isElementwise(node))) * elementCount(node.shapes[0]!),
      0,
    );
  const through = (crossings: Crossings) => {
    const made = inOrder(nodes, kept, knowledge, crossings);
    return { crossings, made, cost: costOf(made) };
  };
  let now = through({ exits: new Map(), entries: new Set() });
  let best = now;
  for (const add of crossingsOf(nodes, kept).slice(0, MOST_CROSSINGS)) {
    const tried = through(add(now.crossings));
    // One that costs nothing may let another one pay: behind a residual sum the value goes on in its order.
    if (tried.cost <= now.cost) now = tried;
    if (now.cost < best.cost) best = now;
  }
  return best.made;
}

/** Time of transposing a number, in times of an element-wise operator on it. */
const TRANSPOSING = 4;

/** Crossings that are tried, for each takes a look at the whole graph: ResNet-18 has 48. */
const MOST_CROSSINGS = 100;

/** Where values change their order though nothing asks for it there, because fewer do so elsewhere. */
interface Crossings {
  /** Values at the end of element-wise operators: made in this order and then transposed out of it. */
  readonly exits: ReadonlyMap<string, Order>;
  /** Transpositions of what element-wise operators make: those of their operands that have another order are transposed instead. */
  readonly entries: ReadonlySet<string>;
}

/** Crossings that may pay, one by one: behind and before element-wise operators on values that were transposed; the last exits first. */
function crossingsOf(
  nodes: readonly EmittedNode[],
  kept: ReadonlySet<string>,
): readonly ((crossings: Crossings) => Crossings)[] {
  /** The orders in which a value or its operands were made. */
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
  const behind = (name: string): string => {
    const node = maker.get(name);
    return node?.opType === "Reshape" ? behind(node.inputs[0]!) : name;
  };
  const exits = [...new Set([...ends].map(behind))]
    .reverse()
    .filter((name) => !kept.has(name) && maker.has(name) && isElementwise(maker.get(name)!))
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
  kept: ReadonlySet<string>,
  knowledge: Knowledge,
  { exits, entries }: Crossings,
): readonly EmittedNode[] {
  const { maker, shape } = lookups(nodes, kept, knowledge);
  /** What a value is when views are left out. */
  const behind = (name: string): string => {
    const node = maker.get(name);
    return node?.opType === "Reshape" && !kept.has(name) ? behind(node.inputs[0]!) : name;
  };

  /** Parameters, which no node makes, are floats. */
  const dtypeOf = (name: string): string => maker.get(name)?.dtypes[0] ?? "float32";

  /** Rearranged values that stand earlier in the graph, by value and order. */
  const known = new Map<string, string>();
  const orders = new Map<string, Order>();
  const result: EmittedNode[] = [];
  const renamed = new Map<string, string>();

  /** Makes the value in this order; undefined where that would take a transposition. */
  type Build = (() => string) | undefined;
  interface Search {
    readonly order: Order;
    readonly key: string;
    /** Whether operands in another order may be transposed. */
    readonly entering: boolean;
    /** What was asked on the way: a value that is used many times is looked at once. */
    readonly met: Map<string, Build>;
  }
  const found = (name: string, order: Order, entering = false): Build =>
    look(name, { order, key: keyOf(order), entering, met: new Map() });
  const look = (name: string, asked: Search): Build => {
    const source = behind(name);
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
      // T⁻¹ was taken of a value that has the order already.
      const inverse = perm.every((axis, i) => order.perm[axis] === i);
      const from = node.inputs[0]!;
      return inverse &&
        node.shapes[0]!.join() === order.view.join() &&
        shape(from)?.join() === permuted(order).join()
        ? () => renamed.get(from) ?? from
        : undefined;
    }
    const [dims] = node.shapes as [readonly number[]];
    if (!isElementwise(node) || kept.has(source)) return undefined;
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
    const place = `${behind(name)}|${keyOf(order)}`;
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

  /** An operand that broadcasts along whole axes of the order, none of which change places with those it has. */
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
    if (permOf(node) && !kept.has(output)) {
      const [from] = original.inputs as [string];
      const order: Order = { view: shape(from)!, perm: permOf(node)! };
      const key = keyOf(order);
      orders.set(key, order);
      const build = found(from, order, entries.has(output));
      if (build) {
        renamed.set(output, build());
        continue;
      }
      known.set(`${behind(from)}|${key}`, output);
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
    const sum = overPlaces(original, maker, knowledge);
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
  return alive(result, kept);
}

const transposeNode = ([from, to]: readonly [string, string], order: Order, dtype: string): EmittedNode => ({
  opType: "Transpose",
  domain: "",
  inputs: [from],
  outputs: [to],
  shapes: [permuted(order)],
  dtypes: [dtype],
  attributes: { perm: { ints: order.perm } },
});

/** Over the places of a blocked value (layout.ts): its name, and the shape [images and blocks, places, block] under which it is reduced. */
function overPlaces(
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

/** Whether [N, C/b, places, b] is [N·C/b, places, b]. */
const fits = ([images, blocks, places, block]: readonly number[], view: readonly number[]) =>
  images! * blocks! === view[0] && places === view[1] && block === view[2];
