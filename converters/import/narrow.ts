import type { DataType, OnnxGraph, OnnxNode } from "../onnx/model.ts";

/** Integer types that flow as 32 bits, and their ONNX numbers. */
const NARROW: ReadonlyMap<DataType, number> = new Map([
  ["uint8", 2],
  ["int8", 3],
  ["uint16", 4],
  ["int16", 5],
]);
/** Operators whose result may leave the range of its type; it then comes back in at the other end. */
const OVERFLOWING = ["Add", "Sub", "Mul", "Neg", "Abs", "BitwiseNot", "BitShift"];
const overflowing: ReadonlySet<string> = new Set(OVERFLOWING);
/** Operators whose first output has the element type of their first input. */
const KEEPING: ReadonlySet<string> = new Set([
  ...OVERFLOWING,
  ...["Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand", "Tile", "Concat"],
  ...["Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND", "Slice", "Split", "Pad"],
  ...["Div", "Mod", "Max", "Min", "Clip", "Sign", "Relu", "BitwiseAnd", "BitwiseOr", "BitwiseXor"],
  ...["ReduceMax", "ReduceMin", "MaxPool", "DepthToSpace", "SpaceToDepth"],
]);

/** Element types of the values that are narrow integers, as far as their origin tells. */
function narrowTypes({ inputs, initializers, nodes }: OnnxGraph): Map<string, number> {
  const types = new Map<string, number>();
  const note = (name: string, code: number | undefined) => {
    if (code !== undefined) types.set(name, code);
  };
  for (const { name, dtype } of [...inputs, ...initializers.values()]) note(name, dtype && NARROW.get(dtype));
  const codes = new Set(NARROW.values());
  // The nodes of some files are in no order: looked through until nothing more is found.
  for (let known = -1; known < types.size; ) {
    known = types.size;
    for (const { opType, inputs: from, outputs, attributes } of nodes) {
      const to = Number(attributes["to"]);
      if (opType === "Cast" && codes.has(to)) note(outputs[0]!, to);
      else if (KEEPING.has(opType)) for (const output of outputs) note(output, types.get(from[0]!));
    }
  }
  return types;
}

/** The nodes with arithmetic on 8- and 16-bit integers followed by a Cast to that type, which wraps around. */
export function wrapNarrow(graph: OnnxGraph): OnnxNode[] {
  const types = narrowTypes(graph);
  return graph.nodes.flatMap((node) => {
    const [output] = node.outputs;
    const to = output && overflowing.has(node.opType) ? types.get(output) : undefined;
    if (to === undefined) return [node];
    const wide = `${output}/wide`;
    return [
      { ...node, outputs: [wide] },
      { ...node, opType: "Cast", inputs: [wide], attributes: { to }, opset: 13 },
    ];
  });
}
