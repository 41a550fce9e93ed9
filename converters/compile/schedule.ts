import { elementCount } from "../dims.ts";
import type { EmittedNode, GraphValue } from "./graph-builder.ts";
import { type Knowledge, nodeOf } from "./lookups.ts";

/** Smallest weight, in elements, whose update is scheduled, and fewest such weights. */
const [MIN_ELEMENTS, MIN_WEIGHTS] = [2 ** 12, 8];

/**
 * Makes ONNX Runtime update the last layers first, by a final node that depends on one element of each
 * updated weight. ONNX Runtime orders the nodes by a depth-first search from the last node of the graph,
 * which visits first the operand that comes last in the graph. Here those are the last layer's weights, whose
 * gradients the backward pass computes first.
 *
 * Without this node, the search may start with a second forward pass, and so at the first layers. Their
 * gradients need those of all later layers, whose filter gradients would have to wait, with all operands in
 * memory.
 * @param updated the graph's outputs for the next step, in the order of the layers
 * @param output name of the sequence of those elements, the graph's first output
 */
export function lastLayersFirst(
  updated: readonly GraphValue[],
  output: string,
  { ints }: Knowledge,
): readonly EmittedNode[] {
  const large = updated.filter(
    ({ shape, dtype }) => dtype === "float32" && elementCount(shape) >= MIN_ELEMENTS,
  );
  if (large.length < MIN_WEIGHTS) return [nodeOf("SequenceEmpty", [], { name: output, shape: [] })];
  const numbers = large.map(({ name, shape }) => {
    const ones = shape.map(() => 1);
    const inputs = [name, ints(shape.map(() => 0)), ints(ones)];
    return nodeOf("Slice", inputs, { name: `${name}number`, shape: ones });
  });
  const names = numbers.flatMap(({ outputs }) => outputs);
  return [...numbers, nodeOf("SequenceConstruct", names, { name: output, shape: [] })];
}
