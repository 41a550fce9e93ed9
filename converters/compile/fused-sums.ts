import { elementCount } from "../dims.ts";
import { type EmittedNode, MICROSOFT } from "./graph-builder.ts";
import { overwritable } from "./in-place.ts";
import { alive, type Knowledge, type Lookups, lookups, nodeOf, reshapeNode } from "./lookups.ts";

/** From this many elements on, a pass over memory costs more than the additional nodes. */
const MIN_ELEMENTS = 2 ** 14;

/** Largest weight that is stored next to its velocity, which then takes a second buffer. */
const MAX_PAIRED = 2 ** 20;

/** sum ± factor · scaled */
interface ScaledSum {
  /** The operand that is added to, in place. */
  readonly sum: string;
  readonly scaled: string;
  readonly factor: string;
  readonly negative: boolean;
  /** The node that makes factor · scaled, if there is one. */
  readonly product?: EmittedNode;
}

/**
 * Computes a + s·b in one pass over memory instead of two, in the memory of a, by ONNX Runtime's FusedConv: a
 * convolution of b with a kernel of the single number s, added to the operand `Sum` = a. No other node may
 * read a or s·b. Weight decay and momentum are such sums. Results are the same to the last bit.
 *
 * A carry output should be computed in the memory of the carry input that it replaces, or it must be copied
 * at the end. Therefore a is chosen to be in that memory: for the new weight p − s·v, a is the old weight p;
 * for the new velocity s·v + g, a is the product s·v, computed in place, to which g is added with factor 1.
 *
 * The new velocity with weight decay, s·v + (g + d·p), takes one pass for both products if v and p are
 * adjacent in memory (in-place.ts, VelocityPair): a convolution of two channels added to g. Its additions
 * have another order, so the last bits may differ.
 */
export function fuseSums(
  nodes: readonly EmittedNode[],
  graphOutputs: ReadonlySet<string>,
  knowledge: Knowledge,
): readonly EmittedNode[] {
  const known = lookups(nodes, graphOutputs, knowledge);
  const overwrites = overwritable(nodes, graphOutputs);
  const takesOver = (input: string, written: string, output: string) =>
    knowledge.successorOf(input) === output && overwrites(input, written);
  const found = new Map<EmittedNode, ScaledSum>();
  const gone = new Set<EmittedNode>();
  const decayed = new Map<EmittedNode, DecayedVelocity>();
  for (const node of nodes) {
    const update = knowledge.pairVelocity && decayedVelocity(node, known, takesOver, knowledge);
    if (!update) continue;
    decayed.set(node, update);
    for (const made of update.made) gone.add(made);
  }
  for (const node of nodes) {
    if (gone.has(node) || decayed.has(node)) continue;
    const fused = scaledSumOf(node, known, takesOver, knowledge);
    const made = fused && known.maker.get(fused.sum);
    if (!fused || (made && gone.has(made))) continue;
    found.set(node, fused);
    if (fused.product) gone.add(fused.product);
  }

  const result: EmittedNode[] = [];
  const views = new Map<string, string>();
  /** A value reshaped to one channel, [1, 1, elements]. */
  const asRow = (name: string): string => {
    const view = views.get(name);
    if (view) return view;
    const row = `${name}row`;
    result.push(reshapeNode([name, row], [1, 1, elementCount(known.shape(name)!)], "float32", knowledge));
    views.set(name, row);
    return row;
  };
  const negatives = new Set<string>();
  /** −factor, as a convolution's kernel [1, 1, 1]. */
  const minus = (factor: string): string => {
    const row = asRow(factor);
    const output = `${row}minus`;
    if (negatives.has(output)) return output;
    negatives.add(output);
    result.push(nodeOf("Neg", [row], { name: output, shape: [1, 1, 1] }));
    return output;
  };
  /** Emits a node's value as sum + Σ factors · scaled, over the channels of `scaled`. */
  const pushSum = (node: EmittedNode, scaled: string, factors: string, sum: string) => {
    const [output] = node.outputs as [string];
    const [shape] = node.shapes as [readonly number[]];
    const row = `${output}row`;
    result.push({
      opType: "FusedConv",
      domain: MICROSOFT,
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
    const fused = found.get(node);
    if (update) {
      const { both, factors } = knowledge.pairVelocity!(update.velocity, update.weight, update.factors);
      pushSum(node, both, factors, asRow(update.gradient));
    } else if (fused) {
      const { sum, scaled, factor, negative } = fused;
      pushSum(node, asRow(scaled), negative ? minus(factor) : asRow(factor), asRow(sum));
    } else if (!gone.has(node)) result.push(node);
  }
  return alive(result, graphOutputs);
}

/** A product of a tensor of shape `dims` and a single number, which only one node reads. */
function scalingOf(
  name: string,
  dims: readonly number[],
  { maker, shape, once }: Lookups,
): Pick<ScaledSum, "scaled" | "factor" | "product"> | undefined {
  const product = maker.get(name);
  if (product?.opType !== "Mul" || product.domain !== "" || !once(name)) return undefined;
  const whole = (operand: string) => shape(operand)?.join() === dims.join();
  const [scaled, factor] = whole(product.inputs[0]!) ? product.inputs : [...product.inputs].reverse();
  const fits = whole(scaled!) && elementCount(shape(factor!) ?? []) === 1 && !whole(factor!);
  return fits ? { scaled: scaled!, factor: factor!, product } : undefined;
}

/** The new velocity: momentum · velocity + (gradient + decay · weight) */
interface DecayedVelocity {
  readonly velocity: string;
  readonly weight: string;
  readonly gradient: string;
  /** Momentum and decay. */
  readonly factors: readonly [number, number];
  /** The nodes that make the parts, which no other node reads. */
  readonly made: readonly EmittedNode[];
}

/**
 * Recognises the update of a velocity with weight decay. Velocity and weight must be carry inputs, and the
 * new weight must be able to overwrite the old one, as a pair has only one buffer for the weight.
 */
function decayedVelocity(
  node: EmittedNode,
  known: Lookups,
  takesOver: (input: string, written: string, output: string) => boolean,
  { scalarOf, successorOf }: Knowledge,
): DecayedVelocity | undefined {
  const isSum = ({ opType, domain, dtypes }: EmittedNode) =>
    opType === "Add" && domain === "" && dtypes[0] === "float32";
  const [dims] = node.shapes as [readonly number[]];
  const [output] = node.outputs as [string];
  const elements = elementCount(dims);
  if (!isSum(node) || elements < MIN_ELEMENTS || elements > MAX_PAIRED) return undefined;
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

/**
 * Recognises a + s·b and a − s·b.
 * @param takesOver whether `output` may have the memory of a graph input, where `written` is the first value
 * written there
 */
function scaledSumOf(
  node: EmittedNode,
  known: Lookups,
  takesOver: (input: string, written: string, output: string) => boolean,
  { number }: Knowledge,
): ScaledSum | undefined {
  const [dims] = node.shapes as [readonly number[]];
  const [a, b] = node.inputs as [string, string];
  const [output] = node.outputs as [string];
  const negative = node.opType === "Sub";
  if (!negative && node.opType !== "Add") return undefined;
  if (node.domain !== "" || node.dtypes[0] !== "float32" || elementCount(dims) < MIN_ELEMENTS)
    return undefined;
  if (![a, b].every((name) => known.shape(name)?.join() === dims.join())) return undefined;
  const orders = [[a, b] as const];
  if (!negative) orders.push([b, a]);
  const candidates = orders.map(([sum, value]) => ({ sum, value, scaling: scalingOf(value, dims, known) }));
  for (const { sum, value, scaling } of candidates) {
    // FusedConv may read any element of `scaled` at any time, so that must not be the memory it writes.
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
