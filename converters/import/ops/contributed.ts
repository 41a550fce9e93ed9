import { normRoot } from "../../kernels/arithmetic.ts";
import { inverse } from "../../kernels/inverse.ts";
import { tf } from "../../tf.ts";
import { along, facts, plain } from "../operator.ts";
import { host, type Inputs, type OperatorContext, toNumbers, toTensor, type Value } from "../value.ts";
import * as indexing from "./indexing.ts";
import * as movement from "./movement.ts";
import * as shape from "./shape.ts";

/** com.microsoft: operators that converters used before ONNX had them, or that are not in ONNX. */
export const GatherND = indexing.GatherND;
export const Trilu = indexing.Trilu;
export const Pad = movement.Pad_11;

/** As in ai.onnx, but the step may be left out. */
export const Range = ([start, limit, delta]: Inputs, _: object, context: OperatorContext): Value =>
  shape.Range([start, limit, delta ?? host("int64", [], [1])], {}, context);
Range.facts = shape.Range.facts;
/** Unsqueeze at one axis. */
export const ExpandDims = ([x, axis]: Inputs, _: object, context: OperatorContext): Value =>
  movement.Unsqueeze([x], { axes: toNumbers(axis, "axis", context) });
ExpandDims.facts = plain;

/** The inverses of [batch…, n, n]. */
export const Inverse = ([x]: Inputs): Value => inverse(toTensor(x!));
Inverse.facts = facts({ mixes: along(() => [-2, -1]) });

/** Distances between the rows of A [m, k] and those of B [n, k]. */
export function CDist([a, b]: Inputs, { metric = "sqeuclidean" }: { metric?: string }): Value {
  const difference = tf.sub(tf.expandDims(toTensor(a!), 1), tf.expandDims(toTensor(b!), 0));
  const squares = tf.sum(tf.mul(difference, difference), 2);
  return metric === "euclidean" ? normRoot(squares) : squares;
}
CDist.facts = plain;
