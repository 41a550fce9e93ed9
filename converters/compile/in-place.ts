import { readersOf } from "./lookups.ts";
import type { EmittedNode } from "./trace.ts";

/** Operators that read an operand whole and never hand out the memory of a graph input. */
const READS_ONLY = new Set(["Add", "Sub", "Mul", "Div", "Sum", "FusedConv", "Gemm", "MatMul", "FusedMatMul"]);
/** Those that also read each element before they write the one in its place. */
const BY_ELEMENT = new Set(["Add", "Sub", "Mul", "Div"]);

/**
 * Whether a graph output may be written into the memory of a graph input: every reader of the input must come before the
 * output's producer in *any* order of execution, so it must be an ancestor of it; or the producer itself, element by element.
 * @param outputs names of the graph's outputs
 * @returns of an input and an output of one shape
 */
export function overwritable(
  nodes: readonly EmittedNode[],
  outputs: ReadonlySet<string>,
): (input: string, output: string) => boolean {
  const producer = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const readers = readersOf(nodes);
  /** Who reads a value, itself or through a Reshape, which hands on the operand's memory. */
  const allReaders = (name: string): readonly EmittedNode[] =>
    (readers.get(name) ?? []).flatMap((node) => {
      const [view] = node.outputs as [string];
      return node.opType === "Reshape" && !outputs.has(view) ? allReaders(view) : [node];
    });
  return (input, output) => {
    const writer = producer.get(output);
    const reading = allReaders(input);
    if (!writer || reading.length === 0) return false;
    if (!reading.every(({ opType }) => READS_ONLY.has(opType))) return false;
    const wanted = new Set(reading);
    if (wanted.delete(writer) && !BY_ELEMENT.has(writer.opType)) return false;
    const seen = new Set<EmittedNode>([writer]);
    const open = [writer];
    while (open.length > 0 && wanted.size > 0) {
      for (const name of open.pop()!.inputs) {
        const node = producer.get(name);
        if (!node || seen.has(node)) continue;
        seen.add(node);
        wanted.delete(node);
        open.push(node);
      }
    }
    return wanted.size === 0;
  };
}
