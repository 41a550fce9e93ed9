import { elementCount } from "../dims.ts";
import { overwritable } from "./in-place.ts";
import { alive, type Knowledge, type Lookups, lookups, reshapeNode } from "./lookups.ts";
import type { EmittedNode } from "./trace.ts";

/** Fewest elements for which the passes over memory cost more than the nodes. */
const WORTHWHILE = 2 ** 14;

/** Most elements of a weight whose velocity gets a second buffer. */
const SPARED = 2 ** 20;

/** sum ± factor · scaled; `product` makes the product, where there is one. */
interface Accumulation {
  readonly sum: string;
  readonly scaled: string;
  readonly factor: string;
  readonly negative: boolean;
  readonly product?: EmittedNode;
}

/**
 * a + s·b, where nobody else needs a or the product, in one pass over memory instead of two and into the memory of a: as a convolution of b
 * with a kernel of the one number s, and a as its `Sum` operand. What an optimiser does to a gradient (weight decay,
 * momentum) is of this kind. The bits of the result are the same.
 *
 * Where a result goes into the memory of a graph input, a is what lies there: of a weight p − s·v the old weight, of a velocity
 * s·v + g the product, made in place too; s is then 1. What lay elsewhere would have to be copied at the end.
 *
 * A velocity s·v + (g + d·p) of a weight p takes one pass for both products where v and p lie side by side (in-place.ts): a convolution of two channels, which
 * adds in another order. An MLP's four passes become two.
 */
export function accumulate(
  nodes: readonly EmittedNode[],
  kept: ReadonlySet<string>,
  knowledge: Knowledge,
): readonly EmittedNode[] {
  const known = lookups(nodes, kept, knowledge);
  const overwrites = overwritable(nodes, kept);
  const takesOver = (input: string, written: string, output: string) =>
    knowledge.successorOf(input) === output && overwrites(input, written);
  const found = new Map<EmittedNode, Accumulation>();
  const gone = new Set<EmittedNode>();
  const decayed = new Map<EmittedNode, Decayed>();
  for (const node of nodes) {
    const velocity = knowledge.beside && decayedVelocity(node, known, takesOver, knowledge);
    if (!velocity) continue;
    decayed.set(node, velocity);
    for (const made of velocity.made) gone.add(made);
  }
  for (const node of nodes) {
    if (gone.has(node) || decayed.has(node)) continue;
    const accumulation = accumulationOf(node, known, takesOver, knowledge);
    const made = accumulation && known.maker.get(accumulation.sum);
    if (!accumulation || (made && gone.has(made))) continue;
    found.set(node, accumulation);
    if (accumulation.product) gone.add(accumulation.product);
  }

  const result: EmittedNode[] = [];
  const views = new Map<string, string>();
  /** A value under another shape, [1, 1, elements]. */
  const asRow = (name: string): string => {
    const view = views.get(name);
    if (view) return view;
    const row = `${name}row`;
    result.push(reshapeNode([name, row], [1, 1, elementCount(known.shape(name)!)], "float32", knowledge));
    views.set(name, row);
    return row;
  };
  const negatives = new Set<string>();
  /** A number's negative as a row. */
  const minus = (factor: string): string => {
    const row = asRow(factor);
    const output = `${row}minus`;
    if (negatives.has(output)) return output;
    negatives.add(output);
    result.push({
      opType: "Neg",
      domain: "",
      inputs: [row],
      outputs: [output],
      shapes: [[1, 1, 1]],
      dtypes: ["float32"],
      attributes: {},
    });
    return output;
  };
  /** A node's value as a sum in one pass: a convolution of what is scaled, with the factors as its kernel. */
  const pushSum = (node: EmittedNode, scaled: string, factors: string, sum: string) => {
    const [output] = node.outputs as [string];
    const [shape] = node.shapes as [readonly number[]];
    const row = `${output}row`;
    result.push({
      opType: "FusedConv",
      domain: "com.microsoft",
      inputs: [scaled, factors, "", sum],
      outputs: [row],
      shapes: [[1, 1, elementCount(shape)]],
      dtypes: node.dtypes,
      attributes: { kernel_shape: { ints: [1] } },
    });
    views.set(output, row);
    result.push(reshapeNode([row, output], shape, "float32", knowledge));
  };
  for (const node of nodes) {
    const update = decayed.get(node);
    const accumulation = found.get(node);
    if (update) {
      const { both, factors } = knowledge.beside!(update.velocity, update.weight, update.factors);
      pushSum(node, both, factors, asRow(update.gradient));
    } else if (accumulation) {
      const { sum, scaled, factor, negative } = accumulation;
      pushSum(node, asRow(scaled), negative ? minus(factor) : asRow(factor), asRow(sum));
    } else if (!gone.has(node)) result.push(node);
  }
  return alive(result, kept);
}

/** A product of a whole tensor and one number that nobody else needs. */
function scalingOf(
  name: string,
  dims: readonly number[],
  { maker, shape, once }: Lookups,
): Pick<Accumulation, "scaled" | "factor" | "product"> | undefined {
  const product = maker.get(name);
  if (product?.opType !== "Mul" || product.domain !== "" || !once(name)) return undefined;
  const whole = (operand: string) => shape(operand)?.join() === dims.join();
  const [scaled, factor] = whole(product.inputs[0]!) ? product.inputs : [...product.inputs].reverse();
  const fits = whole(scaled!) && elementCount(shape(factor!) ?? []) === 1 && !whole(factor!);
  return fits ? { scaled: scaled!, factor: factor!, product } : undefined;
}

/** momentum · velocity + (gradient + decay · weight) */
interface Decayed {
  readonly velocity: string;
  readonly weight: string;
  readonly gradient: string;
  /** Momentum and decay. */
  readonly factors: readonly [number, number];
  /** What makes the parts, and nothing else. */
  readonly made: readonly EmittedNode[];
}

/** An update of a velocity with weight decay, where it and the weight are graph inputs and the new weight takes the place of the old one. */
function decayedVelocity(
  node: EmittedNode,
  known: Lookups,
  takesOver: (input: string, written: string, output: string) => boolean,
  { scalarOf, successorOf }: Knowledge,
): Decayed | undefined {
  const isSum = ({ opType, domain, dtypes }: EmittedNode) =>
    opType === "Add" && domain === "" && dtypes[0] === "float32";
  const [dims] = node.shapes as [readonly number[]];
  const [output] = node.outputs as [string];
  const elements = elementCount(dims);
  if (!isSum(node) || elements < WORTHWHILE || elements > SPARED) return undefined;
  const whole = (name: string) => known.shape(name)?.join() === dims.join();
  const split = ({ inputs }: EmittedNode) => {
    const [a, b] = inputs as [string, string];
    return [
      { rest: a, scaling: scalingOf(b, dims, known) },
      { rest: b, scaling: scalingOf(a, dims, known) },
    ];
  };
  for (const { rest, scaling } of split(node)) {
    if (!scaling || successorOf(scaling.scaled) !== output) continue;
    const sum = known.maker.get(rest);
    if (!sum || !isSum(sum) || !known.once(rest) || !whole(rest)) continue;
    for (const { rest: gradient, scaling: decay } of split(sum)) {
      const weight = decay?.scaled;
      const next = weight === undefined ? undefined : successorOf(weight);
      const [momentum, factor] = [scalarOf(scaling.factor), decay && scalarOf(decay.factor)];
      if (!decay || !weight || !next || momentum === undefined || factor === undefined) continue;
      if (!whole(gradient) || !known.maker.has(gradient) || !known.once(gradient)) continue;
      if (!takesOver(weight, next, next)) continue;
      return {
        ...{ velocity: scaling.scaled, weight, gradient, factors: [momentum, factor] },
        made: [sum, scaling.product!, decay.product!],
      };
    }
  }
  return undefined;
}

/** @param takesOver whether an output may have the memory of an input, into which another value is written first */
function accumulationOf(
  node: EmittedNode,
  known: Lookups,
  takesOver: (input: string, written: string, output: string) => boolean,
  { number }: Knowledge,
): Accumulation | undefined {
  const [dims] = node.shapes as [readonly number[]];
  const [a, b] = node.inputs as [string, string];
  const [output] = node.outputs as [string];
  const negative = node.opType === "Sub";
  if (!negative && node.opType !== "Add") return undefined;
  if (node.domain !== "" || node.dtypes[0] !== "float32" || elementCount(dims) < WORTHWHILE) return undefined;
  if (![a, b].every((name) => known.shape(name)?.join() === dims.join())) return undefined;
  const orders = [[a, b] as const];
  if (!negative) orders.push([b, a]);
  const candidates = orders.map(([sum, value]) => ({ sum, value, scaling: scalingOf(value, dims, known) }));
  for (const { sum, value, scaling } of candidates) {
    // A convolution reads what it scales anywhere, so that must not lie in the memory it writes.
    if (scaling && scaling.scaled !== sum && takesOver(sum, output, output))
      return { sum, ...scaling, negative };
    const old = negative ? undefined : scalingOf(sum, dims, known)?.scaled;
    if (old && takesOver(old, sum, output))
      return { sum, ...(scaling ?? { scaled: value, factor: number(1) }), negative };
  }
  for (const { sum, scaling } of candidates)
    if (!negative && scaling && known.maker.has(sum) && known.once(sum)) return { sum, ...scaling, negative };
  return undefined;
}
