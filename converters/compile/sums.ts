import { elementCount } from "../dims.ts";
import type { EmittedNode } from "./graph-builder.ts";
import { alive, type Knowledge, lookups, reshapeNode } from "./lookups.ts";

/** Numbers from which on a sum is worth other nodes, and fewest numbers that are summed beside each other. */
const [WHOLE, WIDTH] = [2 ** 14, 8];

/**
 * Sums over the first axes, such as a bias's gradient, as a product of ones with a matrix: ONNX Runtime's product reads rows on all threads, its
 * ReduceSum takes two to four times as long ([4096, 512]: 227 and 85 µs, [32768, 32]: 467 and 55 µs), and rounds no better.
 * Many sums beside each other, of the samples say, gain nothing. The sum of a short vector, or of the product of two, is a product of vectors.
 */
export function sums(
  nodes: readonly EmittedNode[],
  kept: ReadonlySet<string>,
  knowledge: Knowledge,
): readonly EmittedNode[] {
  const { shape, maker, once } = lookups(nodes, kept, knowledge);
  /** The factors of a product that only its sum needs. */
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
    if (source.length === 1 && dims.length === 0 && source[0]! <= WHOLE)
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
    if (!alone || elementCount(source) < WHOLE || width < WIDTH || count < 2) return [node];
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
  return alive(summed, kept);
}
