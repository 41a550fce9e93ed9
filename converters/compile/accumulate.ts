import { type Knowledge, type Lookups, lookups, reshapeNode, sizeOf } from "./lookups.ts";
import type { EmittedNode } from "./trace.ts";

/** Fewest elements for which the passes over memory cost more than the nodes. */
const WORTHWHILE = 2 ** 14;

/** sum + factor · scaled, the product made by `product`. */
interface Accumulation {
  readonly sum: string;
  readonly scaled: string;
  readonly factor: string;
  readonly product: EmittedNode;
}

/**
 * a + s·b, where nobody else needs a or the product, in one pass over memory instead of two and into the memory of a: as a convolution of b
 * with a kernel of the one number s, and a as its `Sum` operand. What an optimiser does to a gradient (weight decay,
 * momentum) is of this kind. The bits of the result are the same.
 */
export function accumulate(
  nodes: readonly EmittedNode[],
  kept: ReadonlySet<string>,
  knowledge: Knowledge,
): readonly EmittedNode[] {
  const known = lookups(nodes, kept, knowledge);
  const found = new Map<EmittedNode, Accumulation>();
  const gone = new Set<EmittedNode>();
  for (const node of nodes) {
    const accumulation = accumulationOf(node, known);
    if (!accumulation || gone.has(known.maker.get(accumulation.sum)!)) continue;
    found.set(node, accumulation);
    gone.add(accumulation.product);
  }

  const result: EmittedNode[] = [];
  const views = new Map<string, string>();
  /** A value under another shape, [1, 1, elements]. */
  const asRow = (name: string): string => {
    const view = views.get(name);
    if (view) return view;
    const row = `${name}row`;
    result.push(reshapeNode([name, row], [1, 1, sizeOf(known.shape(name)!)], "float32", knowledge));
    views.set(name, row);
    return row;
  };
  for (const node of nodes) {
    const accumulation = found.get(node);
    if (!accumulation) {
      if (!gone.has(node)) result.push(node);
      continue;
    }
    const { sum, scaled, factor } = accumulation;
    const [output] = node.outputs as [string];
    const [shape] = node.shapes as [readonly number[]];
    const row = `${output}row`;
    result.push({
      opType: "FusedConv",
      domain: "com.microsoft",
      inputs: [asRow(scaled), asRow(factor), "", asRow(sum)],
      outputs: [row],
      shapes: [[1, 1, sizeOf(shape)]],
      dtypes: node.dtypes,
      attributes: { kernel_shape: { ints: [1] } },
    });
    views.set(output, row);
    result.push(reshapeNode([row, output], shape, "float32", knowledge));
  }
  const read = new Set(result.flatMap(({ inputs }) => inputs));
  return result.filter(({ outputs }) => outputs.some((name) => read.has(name) || kept.has(name)));
}

function accumulationOf(node: EmittedNode, { maker, shape, once }: Lookups): Accumulation | undefined {
  if (node.opType !== "Add" || node.domain !== "" || node.dtypes[0] !== "float32") return undefined;
  const [dims] = node.shapes as [readonly number[]];
  if (sizeOf(dims) < WORTHWHILE) return undefined;
  const whole = (name: string) => shape(name)?.join() === dims.join();
  const [a, b] = node.inputs as [string, string];
  for (const [sum, value] of [
    [a, b],
    [b, a],
  ] as const) {
    const product = maker.get(value);
    if (product?.opType !== "Mul" || product.domain !== "" || !once(value)) continue;
    if (!maker.has(sum) || !once(sum) || !whole(sum)) continue;
    const [scaled, factor] = whole(product.inputs[0]!) ? product.inputs : [...product.inputs].reverse();
    if (whole(scaled!) && sizeOf(shape(factor!) ?? []) === 1 && !whole(factor!))
      return { sum, scaled: scaled!, factor: factor!, product };
  }
  return undefined;
}
