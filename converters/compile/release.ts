import { elementCount } from "../dims.ts";
import type { EmittedNode } from "./graph-builder.ts";
import { type Knowledge, lookups, nodeOf } from "./lookups.ts";

/** From this many elements on, freeing a value's memory early is worth another node. */
const MIN_ELEMENTS = 2 ** 18;
/** Operators whose large results are often read only through a Reshape. None of them works in place. */
const MAKERS = new Set(["MatMul", "FusedMatMul", "Gather", "ReorderInput", "Transpose"]);

/**
 * Makes ONNX Runtime free large values as soon as they have been read, by hiding their shape from its memory
 * planner. The planner reserves the memory of a dead value for the next value of the same shape, even if that
 * comes much later in the step. A value of unknown shape is not planned: its memory is freed at once.
 *
 * The shape of a large value is hidden by a Reshape of its maker's first operand to the shape it already has,
 * but given by numbers that are known only when the graph runs. This copies nothing. All readers of the value
 * must be Reshapes, which state its shape again.
 * @param graphOutputs names that must stay values of the graph
 */
export function releaseEarly(
  nodes: readonly EmittedNode[],
  graphOutputs: ReadonlySet<string>,
  knowledge: Knowledge,
): readonly EmittedNode[] {
  const { shape, maker } = lookups(nodes, graphOutputs, knowledge);
  const read = new Set<string>();
  for (const { opType, inputs } of nodes)
    inputs.forEach((name, i) => {
      if (opType !== "Reshape" || i > 0) read.add(name);
    });
  const hiding = new Map<string, EmittedNode>();
  const changed = nodes.flatMap((node): readonly EmittedNode[] => {
    const [output] = node.outputs as [string];
    const [operand, ...others] = node.inputs as [string];
    const large = MAKERS.has(node.opType) && elementCount(node.shapes[0]!) >= MIN_ELEMENTS;
    const before = maker.get(operand);
    // A new Reshape between two operators could keep ONNX Runtime from fusing them.
    const apart = !before || before.opType === "Reshape";
    if (!large || !apart || read.has(output) || graphOutputs.has(output)) return [node];
    const dims = shape(operand)!;
    if (!hiding.has(dims.join())) hiding.set(dims.join(), hidden(dims, `shape${hiding.size}`, knowledge));
    const source = before ? before.inputs[0]! : operand;
    const view = `${output}open`;
    return [
      nodeOf("Reshape", [source, hiding.get(dims.join())!.outputs[0]!], {
        name: view,
        shape: dims,
        dtype: node.dtypes[0]!,
      }),
      { ...node, inputs: [view, ...others] },
    ];
  });
  if (hiding.size === 0) return nodes;
  const needed = new Set([...graphOutputs, ...changed.flatMap(({ inputs }) => inputs)]);
  return [
    // A zero that ONNX Runtime does not fold into a constant: the length of an empty sequence.
    nodeOf("SequenceEmpty", [], { name: EMPTY, shape: [] }),
    nodeOf("SequenceLength", [EMPTY], { name: ZERO, shape: [], dtype: "int64" }),
    ...hiding.values(),
    ...changed.filter(({ opType, outputs }) => opType !== "Reshape" || needed.has(outputs[0]!)),
  ];
}

const EMPTY = "nothing";
const ZERO = "zero";

/** Numbers that ONNX Runtime knows only when it runs the graph. */
const hidden = (values: readonly number[], name: string, { ints }: Knowledge): EmittedNode =>
  nodeOf("Add", [ints(values), ZERO], { name, shape: [values.length], dtype: "int64" });
