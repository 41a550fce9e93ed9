import type { EmittedNode } from "./trace.ts";

/** Operators that read an operand whole and hand out memory of their own (a Reshape would hand on the operand's). */
const READS_ONLY = new Set(["Add", "Sub", "Mul", "Div", "Sum"]);

/**
 * Whether a graph output may be written into the memory of a graph input: every reader of the input must come before the
 * output's producer in *any* order of execution, so it must be an ancestor of it.
 */
export function overwritable(nodes: readonly EmittedNode[]): (input: string, output: string) => boolean {
  const producer = new Map<string, EmittedNode>();
  const readers = new Map<string, EmittedNode[]>();
  for (const node of nodes) {
    for (const name of node.outputs) producer.set(name, node);
    for (const name of node.inputs) readers.set(name, [...(readers.get(name) ?? []), node]);
  }
  return (input, output) => {
    const writer = producer.get(output);
    const reading = readers.get(input) ?? [];
    if (!writer || reading.length === 0 || reading.includes(writer)) return false;
    if (!reading.every(({ opType }) => READS_ONLY.has(opType))) return false;
    const wanted = new Set(reading);
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
