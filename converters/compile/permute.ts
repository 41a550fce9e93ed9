import { elementCount } from "../dims.ts";
import type { EmittedNode } from "./graph-builder.ts";
import { type Knowledge, lookups, permOf, reshapeNode } from "./lookups.ts";

/** Numbers of a row from which on it is worth an index, and of a value from which on it is worth a second thread. */
const [ROW, WHOLE] = [8, 2 ** 16];

/** Turns transpositions that move whole rows, and slices that leave some out in between, into Gather: ONNX Runtime runs that on all threads, them on one. */
export function permute(
  nodes: readonly EmittedNode[],
  kept: ReadonlySet<string>,
  knowledge: Knowledge,
): readonly EmittedNode[] {
  const { shape } = lookups(nodes, kept, knowledge);
  return nodes.flatMap((node) => gathered(node, shape, knowledge) ?? [node]);
}

/** A value's axes but the last ones: how many places each has, how far apart these are in the source, and the first of them. */
interface Walk {
  readonly axes: readonly { readonly count: number; readonly stride: number; readonly start: number }[];
  /** Elements of the source behind each place. */
  readonly row: number;
}

function transposition(node: EmittedNode): Walk | undefined {
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
): Walk | undefined {
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
  if (node.dtypes[0] !== "float32" || elementCount(dims) < WHOLE) return undefined;
  const source = shape(from);
  const walk = transposition(node) ?? sparseSlice(node, source, knowledge);
  if (!walk || !source || walk.axes.length === 0 || walk.row < ROW) return undefined;
  const places = new Int32Array(elementCount(dims) / walk.row);
  places[0] = walk.axes.reduce((sum, { start }) => sum + start, 0);
  let count = 1;
  for (const axis of [...walk.axes].reverse()) {
    // What the later axes make, once for every place along this one.
    for (let at = count; at < count * axis.count; at++) places[at] = places[at - count]! + axis.stride;
    count *= axis.count;
  }
  const [flat, picked] = [`${to}flat`, `${to}rows`];
  return [
    reshapeNode([from, flat], [elementCount(source) / walk.row, walk.row], "float32", knowledge),
    {
      ...node,
      opType: "Gather",
      inputs: [flat, knowledge.indices(places)],
      outputs: [picked],
      shapes: [[places.length, walk.row]],
      attributes: {},
    },
    reshapeNode([picked, to], dims, "float32", knowledge),
  ];
}
