import { type Knowledge, permOf, reshapeNode, sizeOf } from "./lookups.ts";
import type { EmittedNode } from "./trace.ts";

/** Numbers of a row from which on it is worth an index, and of a value from which on it is worth a second thread. */
const [ROW, WHOLE] = [8, 2 ** 16];

/** Turns transpositions that move whole rows into Gather: ONNX Runtime runs that on all threads, Transpose on one. */
export const permute = (
  nodes: readonly EmittedNode[],
  _: ReadonlySet<string>,
  knowledge: Knowledge,
): readonly EmittedNode[] => nodes.flatMap((node) => gathered(node, knowledge) ?? [node]);

function gathered(node: EmittedNode, knowledge: Knowledge): readonly EmittedNode[] | undefined {
  const perm = permOf(node);
  if (!perm || node.dtypes[0] !== "float32") return undefined;
  const [[from], [to], [dims]] = [node.inputs, node.outputs, node.shapes] as [
    [string],
    [string],
    [readonly number[]],
  ];
  let moved = perm.length;
  while (perm[moved - 1] === moved - 1) moved--;
  const row = sizeOf(dims.slice(moved));
  if (moved === 0 || row < ROW || sizeOf(dims) < WHOLE) return undefined;
  const before = perm.map((_, axis) => dims[perm.indexOf(axis)]!);
  const places = new Int32Array(sizeOf(dims.slice(0, moved)));
  let count = 1;
  for (const [i, axis] of [...perm.slice(0, moved).entries()].reverse()) {
    // What the later axes make, once for every place along this one.
    const stride = sizeOf(before.slice(axis + 1, moved));
    for (let at = count; at < count * dims[i]!; at++) places[at] = places[at - count]! + stride;
    count *= dims[i]!;
  }
  const rows = [places.length, row];
  const [flat, picked] = [`${to}flat`, `${to}rows`];
  return [
    reshapeNode([from, flat], rows, "float32", knowledge),
    {
      ...node,
      opType: "Gather",
      inputs: [flat, knowledge.indices(places)],
      outputs: [picked],
      shapes: [rows],
      attributes: {},
    },
    reshapeNode([picked, to], dims, "float32", knowledge),
  ];
}
