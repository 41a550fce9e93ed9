import type { OnnxNode } from "../onnx/model.ts";
import { tf } from "../tf.ts";
import type { OperatorFacts } from "./operator.ts";
import { dimsOf, type Inputs, type Value } from "./value.ts";

/** Shape of every value when the file runs at its own batch size. */
export type Shapes = ReadonlyMap<string, readonly number[]>;

/** A run at another batch size than the known shapes are for: batch axes grow from `from` to `to` samples. */
export interface Rebatching {
  readonly reference: Shapes;
  readonly from: number;
  readonly to: number;
  /**
   * The file fixes the batch size `from`, so constants that depend on it must be adapted. A file with a free
   * batch needs no change.
   */
  readonly adapts: boolean;
}

/**
 * The batch axis: the only axis that grew, in the ratio of the batch sizes, to a multiple of the number of
 * samples. -1 if the shape did not change, so there is no batch in it; undefined for any other change, which
 * means that samples were mixed or lost.
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
  const inRatio = dims[axis!]! * from === reference[axis!]! * to && dims[axis!]! % to === 0;
  return grown.length === 1 && inRatio ? axis : undefined;
}

/** The inputs of a node, adapted to the new batch size. */
export function adaptInputs(
  node: OnnxNode,
  { rebatch }: OperatorFacts,
  inputs: Inputs,
  rebatching: Rebatching,
): Inputs {
  const { reference, from, to, adapts } = rebatching;
  if (!rebatch || !adapts) return inputs;
  const own = (name: string) => reference.get(name);
  const axisOf = (input: number) => {
    const value = inputs[input];
    return value && batchAxis(dimsOf(value), own(node.inputs[input]!), rebatching);
  };
  return rebatch({ node, inputs, axisOf, own, from, to });
}

/** Why a node does not treat the samples of a batch independently; undefined if it does. */
export function mixesSamples(
  node: OnnxNode,
  { mixes, readsShapeOnly }: OperatorFacts,
  inputs: Inputs,
  outputs: readonly Value[],
  rebatching: Rebatching,
): string | undefined {
  if (readsShapeOnly) return undefined;
  const axisOf = (value: Value, name: string) =>
    batchAxis(dimsOf(value), rebatching.reference.get(name), rebatching);
  const from: number[] = [];
  for (const [i, value] of inputs.entries()) {
    const axis = value ? axisOf(value, node.inputs[i]!) : -1;
    if (axis === undefined) return `its input [${dimsOf(value!)}] has no single batch axis`;
    from.push(axis);
  }
  const batched = from.find((axis) => axis >= 0);
  if (batched === undefined) return undefined;
  const to: number[] = [];
  for (const [i, value] of outputs.entries()) {
    const name = node.outputs[i];
    const axis = value && name ? axisOf(value, name) : undefined;
    if (value && name && (axis === undefined || axis < 0))
      return `its output [${dimsOf(value)}] no longer holds the samples one by one`;
    to.push(axis ?? -1);
  }
  return mixes({ attributes: node.attributes, inputs, outputs, axes: { inputs: from, outputs: to } })
    ? `it works along the batch axis ${batched}`
    : undefined;
}

/** Cuts a batch into equal pieces along the first axis. */
export const piecesOf = (
  inputs: Readonly<Record<string, tf.Tensor>>,
  parts: number,
): Record<string, tf.Tensor>[] =>
  Array.from({ length: parts }, (_, part) =>
    Object.fromEntries(
      Object.entries(inputs).map(([name, tensor]) => {
        if (tensor.rank === 0) return [name, tensor];
        const rows = tensor.shape[0]! / parts;
        const begin = tensor.shape.map((_d, i) => (i === 0 ? part * rows : 0));
        return [name, tf.slice(tensor, begin, [rows, ...tensor.shape.slice(1)])];
      }),
    ),
  );
