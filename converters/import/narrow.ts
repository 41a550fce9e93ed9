import type { DataType, OnnxGraph, OnnxNode } from "../onnx/model.ts";
import { factsOf } from "./registry.ts";

/** Integer types that are computed as int32, and their ONNX numbers. */
const NARROW: ReadonlyMap<DataType, number> = new Map([
  ["uint8", 2],
  ["int8", 3],
  ["uint16", 4],
  ["int16", 5],
]);
/** Element types of the narrow integer values, as far as they can be told. */
function narrowTypes({ inputs, initializers, nodes }: OnnxGraph): Map<string, number> {
  const types = new Map<string, number>();
  const note = (name: string, code: number | undefined) => {
    if (code !== undefined) types.set(name, code);
  };
  for (const { name, dtype } of [...inputs, ...initializers.values()]) note(name, dtype && NARROW.get(dtype));
  const codes = new Set(NARROW.values());
  // Some files are not topologically sorted, so this repeats until nothing new is found.
  for (let known = -1; known < types.size; ) {
    known = types.size;
    for (const node of nodes) {
      const { inputs: from, outputs } = node;
      const to = Number(node.attributes["to"]);
      if (node.opType === "Cast" && codes.has(to)) note(outputs[0]!, to);
      else if (factsOf(node)?.integers) for (const output of outputs) note(output, types.get(from[0]!));
    }
  }
  return types;
}

/** Adds a Cast to the original type after arithmetic on 8- and 16-bit integers, so that it wraps around. */
export function wrapNarrow(graph: OnnxGraph): OnnxNode[] {
  const types = narrowTypes(graph);
  return graph.nodes.flatMap((node) => {
    const [output] = node.outputs;
    const to = output && factsOf(node)?.integers === "wraps" ? types.get(output) : undefined;
    if (to === undefined) return [node];
    const wide = `${output}/wide`;
    return [
      { ...node, outputs: [wide] },
      { ...node, opType: "Cast", inputs: [wide], attributes: { to }, opset: 13 },
    ];
  });
}
