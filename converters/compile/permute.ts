import { elementCount } from "../dims.ts";
import type { EmittedNode } from "./graph-builder.ts";
import { type Knowledge, lookups, permOf, reshapeNode } from "./lookups.ts";

/** Smallest row worth an index, and smallest value worth a second thread, in elements. */
const [MIN_ROW, MIN_ELEMENTS] = [8, 2 ** 16];

/**
 * Replaces transpositions that move whole rows, and slices with a step, by Gather: ONNX Runtime runs Gather
 * on all threads, Transpose and Slice on one.
 */
export function permute(
  nodes: readonly EmittedNode[],
  graphOutputs: ReadonlySet<string>,
  knowledge: Knowledge,
): readonly EmittedNode[] {
  const { shape } = lookups(nodes, graphOutputs, knowledge);
  return nodes.flatMap((node) => gathered(node, shape, knowledge) ?? [node]);
}

/** The rows of the source that the result consists of, in row-major order of `axes`. */
interface RowOrder {
  /** Axes of the result before those of a row: length, and stride and first index in rows of the source. */
  readonly axes: readonly { readonly count: number; readonly stride: number; readonly start: number }[];
  /** Elements of a row. */
  readonly row: number;
}

function transposition(node: EmittedNode): RowOrder | undefined {
  const perm = permOf(node);
  if (!perm) return undefined;
  const [dims] = node.shapes as [readonly number[]];
  let moved = perm.length;
  while (perm[moved - 1] === moved - 1) moved--;
  const before = perm.map((_, axis) => dims[perm.indexOf(axis)]!);
  return {
    row: elementCount(dims.slice(moved)),
    axes: perm.slice(0, moved).map((axis, i) => ({
      ...{ count: dims[i]!, stride: elementCount(before.slice(axis + 1, moved)), start: 0 },
    })),
  };
}

function sparseSlice(
  { opType, inputs: [, starts, , axes, steps], shapes: [dims] }: EmittedNode,
  source: readonly number[] | undefined,
  { intsOf }: Knowledge,
): RowOrder | undefined {
  if (opType !== "Slice" || !source || !dims || !axes || !steps) return undefined;
  const [along, from, by] = [intsOf(axes), intsOf(starts!), intsOf(steps)];
  if (!along || !from || !by || [...along, ...from].some((i) => i < 0) || by.some((step) => step < 1))
    return undefined;
  if (by.every((step) => step === 1)) return undefined;
  const moved = Math.max(...along) + 1;
  return {
    row: elementCount(dims.slice(moved)),
    axes: dims.slice(0, moved).map((count, axis) => {
      const unit = elementCount(source.slice(axis + 1, moved));
      const i = along.indexOf(axis);
      return { count, stride: i < 0 ? unit : unit * by[i]!, start: i < 0 ? 0 : unit * from[i]! };
    }),
  };
}

function gathered(
  node: EmittedNode,
  shape: (name: string) => readonly number[] | undefined,
  knowledge: Knowledge,
): readonly EmittedNode[] | undefined {
  const [[from], [to], [dims]] = [node.inputs, node.outputs, node.shapes] as [
    [string],
    [string],
    [readonly number[]],
  ];
  if (node.dtypes[0] !== "float32" || elementCount(dims) < MIN_ELEMENTS) return undefined;
  const source = shape(from);
  const order = transposition(node) ?? sparseSlice(node, source, knowledge);
  if (!order || !source || order.axes.length === 0 || order.row < MIN_ROW) return undefined;
  const places = new Int32Array(elementCount(dims) / order.row);
  places[0] = order.axes.reduce((sum, { start }) => sum + start, 0);
  let count = 1;
  for (const axis of [...order.axes].reverse()) {
    // Repeat the indices of the later axes for every index along this one.
    for (let at = count; at < count * axis.count; at++) places[at] = places[at - count]! + axis.stride;
    count *= axis.count;
  }
  const [flat, picked] = [`${to}flat`, `${to}rows`];
  return [
    reshapeNode([from, flat], [elementCount(source) / order.row, order.row], "float32", knowledge),
    {
      ...node,
      opType: "Gather",
      inputs: [flat, knowledge.indices(places)],
      outputs: [picked],
      shapes: [[places.length, order.row]],
      attributes: {},
    },
    reshapeNode([picked, to], dims, "float32", knowledge),
  ];
}
