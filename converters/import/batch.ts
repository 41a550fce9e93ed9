import { expand } from "../kernels/movement.ts";
import type { OnnxNode } from "../onnx/model.ts";
import { tf } from "../tf.ts";
import { dimsOf, host, isHost, toTensor, type Value } from "./value.ts";

/** Shape of every value when the file runs at its own batch size. */
export type Shapes = ReadonlyMap<string, readonly number[]>;

/** A file with a fixed batch, run at another: every axis that holds the batch grows from `from` to `to`. */
export interface Rebatching {
  readonly reference: Shapes;
  readonly from: number;
  readonly to: number;
}

const product = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1);
const positive = (axis: number, rank: number) => (axis < 0 ? axis + rank : axis);

/**
 * The axis that holds the batch: the one that grew from its reference length in the ratio of the batches. -1 where the
 * shape is that of the reference (no batch in it); undefined where it is neither: then samples are mixed or lost.
 */
export function batchAxis(
  dims: readonly number[],
  reference: readonly number[] | undefined,
  { from, to }: Rebatching,
): number | undefined {
  if (!reference || dims.length !== reference.length) return undefined;
  const grown = dims.flatMap((d, i) => (d !== reference[i] ? [i] : []));
  if (grown.length === 0) return -1;
  const [axis] = grown;
  return grown.length === 1 && dims[axis!]! * from === reference[axis!]! * to ? axis : undefined;
}

/** Where the batch goes when values keep their order but get another shape: as many elements before it, outermost in its axis. */
function reshapedAxis(
  source: readonly number[],
  axis: number,
  target: readonly number[],
  from: number,
): number | undefined {
  const before = product(source.slice(0, axis));
  for (let at = 0, seen = 1; at < target.length && seen <= before; at++) {
    if (seen === before && target[at]! % from === 0) return at;
    seen *= target[at]!;
  }
  return undefined;
}

/** Operators that sum, sort or normalise along axes: (attributes, rank) → those axes. Along the batch they mix samples. */
const MIXING: Readonly<Record<string, (node: OnnxNode, rank: number) => readonly number[]>> = {
  Softmax: (node, rank) => [axisOf(node, -1, rank)],
  LogSoftmax: (node, rank) => [axisOf(node, -1, rank)],
  Hardmax: (node, rank) => [axisOf(node, -1, rank)],
  LpNormalization: (node, rank) => [axisOf(node, -1, rank)],
  TopK: (node, rank) => [axisOf(node, -1, rank)],
  LSTM: (node) => [Number(node.attributes["layout"] ?? 0)],
  GRU: (node) => [Number(node.attributes["layout"] ?? 0)],
  RNN: (node) => [Number(node.attributes["layout"] ?? 0)],
};
const axisOf = (node: OnnxNode, fallback: number, rank: number) =>
  positive(Number(node.attributes["axis"] ?? fallback), rank);

/** Where an operator's second and further operands carry the batch, when its first does: initial states of recurrences. */
const STATES: Readonly<Record<string, readonly number[]>> = { LSTM: [5, 6], GRU: [5], RNN: [5] };

/**
 * The inputs of a node at the new batch size: what exporters baked in for the old one is adapted. Reshape and Resize
 * targets, Expand shapes, whole slices along the batch, and operands without a batch beside others with one (start tokens,
 * initial states).
 */
export function adaptInputs(
  node: OnnxNode,
  inputs: readonly (Value | undefined)[],
  rebatching: Rebatching,
): readonly (Value | undefined)[] {
  const { reference, from, to } = rebatching;
  const axisAt = (i: number) => {
    const value = inputs[i];
    return value ? batchAxis(dimsOf(value), reference.get(node.inputs[i]!), rebatching) : undefined;
  };
  const [data] = inputs;
  const out = reference.get(node.outputs[0]!);
  const replaced = (index: number, value: Value) => inputs.map((v, i) => (i === index ? value : v));
  const grown = (dims: readonly number[], axis: number) =>
    dims.map((d, i) => (i === axis ? (d / from) * to : d));
  const axis = data ? axisAt(0) : undefined;

  if (node.opType === "Reshape" && data && out && axis !== undefined && axis >= 0) {
    const target = reshapedAxis(reference.get(node.inputs[0]!)!, axis, out, from);
    return target === undefined ? inputs : replaced(1, host("int64", [out.length], grown(out, target)));
  }
  if (node.opType === "Expand" && data && out && axis !== undefined && axis >= 0) {
    const target = axis + out.length - dimsOf(data).length;
    return replaced(1, host("int64", [out.length], grown(out, target)));
  }
  if (node.opType === "Resize" && inputs[3] && isHost(inputs[3]) && out && axis !== undefined && axis >= 0)
    return replaced(3, host("int64", [out.length], grown(out, axis)));
  if (
    node.opType === "Slice" &&
    data &&
    out &&
    axis !== undefined &&
    axis >= 0 &&
    out[axis] === reference.get(node.inputs[0]!)![axis]
  ) {
    // The whole batch was taken: it still is.
    const [, , ends, axes] = inputs;
    if (!ends || !isHost(ends) || (axes && !isHost(axes))) return inputs;
    const rank = dimsOf(data).length;
    const listed = axes ? Array.from(axes.array.data, (a) => positive(a, rank)) : [...Array(rank).keys()];
    const wide = Array.from(ends.array.data, (end, i) => (listed[i] === axis && end > 0 ? 2 ** 31 - 1 : end));
    return replaced(2, host("int64", [wide.length], wide));
  }
  if (node.opType === "Concat") {
    const carrier = inputs.findIndex((_, i) => (axisAt(i) ?? -1) >= 0);
    if (carrier < 0) return inputs;
    const at = axisAt(carrier)!;
    return inputs.map((value, i) => {
      if (!value || axisAt(i) !== -1) return value;
      const dims = dimsOf(value);
      return dims[at] === 1 ? expand(toTensor(value), grown(dims, at)) : value;
    });
  }
  const states = STATES[node.opType];
  if (states && axis !== undefined && axis >= 0) {
    return inputs.map((value, i) => {
      if (!value || !states.includes(i) || axisAt(i) !== -1) return value;
      const dims = dimsOf(value);
      const at = Number(node.attributes["layout"] ?? 0) ? 0 : 1;
      return dims[at] === 1 ? expand(toTensor(value), grown(dims, at)) : value;
    });
  }
  return inputs;
}

/** Why a node does not treat the samples of a larger batch one by one; undefined where it does. */
export function mixesSamples(
  node: OnnxNode,
  inputs: readonly (Value | undefined)[],
  outputs: readonly Value[],
  rebatching: Rebatching,
): string | undefined {
  if (node.opType === "Shape" || node.opType === "Size") return undefined;
  let carries = false;
  for (const [i, value] of inputs.entries()) {
    if (!value) continue;
    const dims = dimsOf(value);
    const axis = batchAxis(dims, rebatching.reference.get(node.inputs[i]!), rebatching);
    if (axis === undefined) return `its input [${dims}] has no single batch axis`;
    if (axis >= 0) {
      carries = true;
      if (i === 0 && MIXING[node.opType]?.(node, dims.length).includes(axis))
        return `it works along the batch axis ${axis}`;
    }
  }
  if (!carries) return undefined;
  for (const [i, value] of outputs.entries()) {
    if (!value || !node.outputs[i]) continue;
    const axis = batchAxis(dimsOf(value), rebatching.reference.get(node.outputs[i]!), rebatching);
    if (axis === undefined || axis < 0)
      return `its output [${dimsOf(value)}] no longer holds the samples one by one`;
  }
  return undefined;
}

/** The inputs cut into pieces along their first axis. */
export const cut = (
  inputs: Readonly<Record<string, tf.Tensor>>,
  part: number,
  parts: number,
): Record<string, tf.Tensor> =>
  Object.fromEntries(
    Object.entries(inputs).map(([name, tensor]) => {
      if (tensor.rank === 0) return [name, tensor];
      const rows = tensor.shape[0]! / parts;
      const begin = tensor.shape.map((_, i) => (i === 0 ? part * rows : 0));
      const shape = tensor.shape.map((d, i) => (i === 0 ? rows : d));
      return [name, tf.slice(tensor, begin, shape)];
    }),
  );
