import { elementCount } from "../dims.ts";
import type { EmittedNode } from "./graph-builder.ts";
import { alive, type Knowledge, lookups, reshapeNode } from "./lookups.ts";

/** Smallest sum that pays for additional nodes, in elements, and fewest columns of the matrix they form. */
const [MIN_ELEMENTS, MIN_COLUMNS] = [2 ** 14, 8];

/**
 * Computes sums over the first axes, such as a bias's gradient, as a matrix product with a row of ones: ONNX
 * Runtime's product reads rows on all threads, while its ReduceSum takes several times as long and rounds no
 * better. Sums over inner axes (for each sample, say) gain nothing and stay. The sum of a short vector, or of
 * the product of two, becomes a dot product.
 */
export function sums(
  nodes: readonly EmittedNode[],
  graphOutputs: ReadonlySet<string>,
  knowledge: Knowledge,
): readonly EmittedNode[] {
  const { shape, maker, once } = lookups(nodes, graphOutputs, knowledge);
  /** The factors of an element-wise product that only its sum reads. */
  const factors = (name: string): readonly string[] | undefined => {
    const made = maker.get(name);
    const alike = made?.inputs.every((factor) => shape(factor)?.join() === shape(name)?.join());
    return made?.opType === "Mul" && once(name) && alike ? made.inputs : undefined;
  };
  const summed = nodes.flatMap((node) => {
    const [[from, axesName], [to], [dims]] = [node.inputs, node.outputs, node.shapes] as [
      [string, string],
      [string],
      [readonly number[]],
    ];
    const source = shape(from);
    if (node.opType !== "ReduceSum" || node.dtypes[0] !== "float32" || !source) return [node];
    const axes = [...(knowledge.intsOf(axesName ?? "") ?? [])].sort((a, b) => a - b);
    const [first, last] = [axes[0], axes.at(-1)];
    if (first === undefined || last === undefined || first < 0 || last - first + 1 !== axes.length)
      return [node];
    if (source.length === 1 && dims.length === 0 && source[0]! <= MIN_ELEMENTS)
      return [
        {
          ...node,
          opType: "MatMul",
          inputs: factors(from) ?? [from, knowledge.ones([source[0]!])],
          attributes: {},
        },
      ];
    const [count, width] = [
      elementCount(source.slice(first, last + 1)),
      elementCount(source.slice(last + 1)),
    ];
    const alone = source.slice(0, first).every((d) => d === 1);
    if (!alone || elementCount(source) < MIN_ELEMENTS || width < MIN_COLUMNS || count < 2) return [node];
    const [rows, row] = [`${to}terms`, `${to}total`];
    return [
      reshapeNode([from, rows], [count, width], "float32", knowledge),
      {
        ...node,
        opType: "MatMul",
        inputs: [knowledge.ones([1, count]), rows],
        outputs: [row],
        shapes: [[1, width]],
        attributes: {},
      },
      reshapeNode([row, to], dims, "float32", knowledge),
    ];
  });
  return alive(summed, graphOutputs);
}
