import { positiveAxis } from "../../dims.ts";
import { notTrainable } from "../../errors.ts";
import { slice } from "../../kernels/movement.ts";
import { tf } from "../../tf.ts";
import { facts, plain } from "../operator.ts";
import {
  dimsOf,
  type HostTensor,
  host,
  type Inputs,
  isHost,
  type OperatorContext,
  toNumbers,
  toTensor,
  type Value,
} from "../value.ts";

/** Most iterations that are unrolled; a larger graph could not be compiled in reasonable time. */
const MOST_TURNS = 10_000;

/** Stacks values along a new axis. */
function stack(values: readonly Value[], axis = 0): Value {
  const [first] = values;
  if (first === undefined) throw new Error("a scan output of a loop without turns has no known shape");
  const dims = dimsOf(first);
  if (axis === 0 && values.every(isHost)) {
    const parts = values as readonly HostTensor[];
    return host(
      parts[0]!.dtype,
      [parts.length, ...dims],
      parts.flatMap((p) => Array.from(p.array.data)),
    );
  }
  return tf.stack(values.map(toTensor), positiveAxis(axis, dims.length + 1));
}

/** The branch is chosen during import, so the condition must follow from shapes and constants. */
export function If([condition]: Inputs, _: object, context: OperatorContext): Value[] {
  const [chosen] = toNumbers(condition, "cond", context);
  return context.subgraph!(chosen ? "then_branch" : "else_branch", []);
}
If.facts = plain;

/** Unrolled: trip count and condition must follow from shapes and constants. */
export function Loop([trips, condition, ...initial]: Inputs, _: object, context: OperatorContext): Value[] {
  const most = trips === undefined ? Number.POSITIVE_INFINITY : toNumbers(trips, "M", context)[0]!;
  let goesOn = condition === undefined || toNumbers(condition, "cond", context)[0] !== 0;
  let carried = initial as Value[];
  const scans: Value[][] = [];
  for (let turn = 0; turn < most && goesOn; turn++) {
    if (turn >= MOST_TURNS)
      throw notTrainable(
        "LOOP_LONG",
        `${context.where}: more than ${MOST_TURNS} turns cannot be unrolled; export the model without this loop.`,
      );
    const outputs = context.subgraph!("body", [host("int64", [], [turn]), host("bool", [], [1]), ...carried]);
    goesOn = toNumbers(outputs[0], "cond", context)[0] !== 0;
    carried = outputs.slice(1, 1 + initial.length);
    outputs.slice(1 + initial.length).forEach((value, i) => {
      scans[i] = [...(scans[i] ?? []), value];
    });
  }
  return [...carried, ...scans.map((values) => stack(values))];
}
Loop.facts = plain;

interface ScanAttributes {
  readonly num_scan_inputs: number;
  readonly scan_input_axes?: readonly number[];
  readonly scan_input_directions?: readonly number[];
  readonly scan_output_axes?: readonly number[];
  readonly scan_output_directions?: readonly number[];
}

/** Unrolled over the scanned axis (opset 9 and later; opset 8 has a batch axis of its own). */
export function Scan(
  inputs: Inputs,
  {
    num_scan_inputs,
    scan_input_axes = [],
    scan_input_directions = [],
    scan_output_axes = [],
    scan_output_directions = [],
  }: ScanAttributes,
  context: OperatorContext,
): Value[] {
  if (context.opset < 9)
    throw notTrainable(
      "SCAN_OLD",
      `${context.where}: the Scan of opset 8 is not supported; convert the model to opset 9 or later.`,
    );
  const states = inputs.length - num_scan_inputs;
  let carried = inputs.slice(0, states) as Value[];
  const scanned = inputs.slice(states).map((value) => toTensor(value!));
  const axes = scanned.map((t, i) => positiveAxis(scan_input_axes[i] ?? 0, t.rank));
  const length = scanned[0]!.shape[axes[0]!]!;
  const scans: Value[][] = [];
  for (let turn = 0; turn < length; turn++) {
    const parts = scanned.map((t, i) => {
      const at = scan_input_directions[i] ? length - 1 - turn : turn;
      const begin = t.shape.map((_d, axis) => (axis === axes[i] ? at : 0));
      const shape = t.shape.map((d, axis) => (axis === axes[i] ? 1 : d));
      const part = slice(t, begin, shape);
      return tf.reshape(
        part,
        t.shape.filter((_d, axis) => axis !== axes[i]),
      );
    });
    const outputs = context.subgraph!("body", [...carried, ...parts]);
    carried = outputs.slice(0, states);
    outputs.slice(states).forEach((value, i) => {
      scans[i] = scan_output_directions[i] ? [value, ...(scans[i] ?? [])] : [...(scans[i] ?? []), value];
    });
  }
  return [...carried, ...scans.map((values, i) => stack(values, scan_output_axes[i] ?? 0))];
}
Scan.facts = facts({
  mixes: ({ attributes: { num_scan_inputs, scan_input_axes = [] }, inputs, axes }) => {
    const states = inputs.length - Number(num_scan_inputs);
    return axes.inputs.some((axis, i) => {
      const scanned = (scan_input_axes as readonly number[])[i - states] ?? 0;
      return i >= states && axis >= 0 && axis === positiveAxis(scanned, dimsOf(inputs[i]!).length);
    });
  },
});
