import { expand } from "../kernels/movement.ts";
import { positiveAxis } from "../kernels/shape.ts";
import type { AttributeValue, OnnxNode } from "../onnx/model.ts";
import type { Head } from "./model.ts";
import { dimsOf, host, type Inputs, isHost, type OperatorContext, toTensor, type Value } from "./value.ts";

/** Computes a node. Attributes are checked by each operator's own destructuring type, hence `never` here. */
export type Run = (inputs: Inputs, attributes: never, context: OperatorContext) => Value | Value[];

/** A way to compute an ONNX operator, and what the importer has to know of it. */
export interface Operator extends Run {
  readonly facts: OperatorFacts;
}

/**
 * What is true of an operator besides what it computes. One place: the importer and docs/operators.md read it
 * here.
 */
export interface OperatorFacts {
  /**
   * Whether what one sample gets depends on the other samples of its batch, or on its place among them. What
   * the shapes of the outputs tell need not be said: a reduced, doubled or lost batch axis.
   */
  readonly mixes: Mixing;
  /**
   * "zero": integer, boolean, shape or piecewise constant: the gradient is zero wherever it exists, and does
   * not stop the rest. Without it the tests demand a case whose gradient is held to central differences.
   */
  readonly gradient?: "zero";
  /**
   * Inputs that are settings or statistics, not weights: input index → why they are not trained by default.
   */
  readonly frozen?: Readonly<Record<number, string>>;
  /** A weight of one number beside this operator is a constant of the architecture, such as 1/√d. */
  readonly freezesNumbers?: true;
  /**
   * Only the shape of the input counts: a weight used here alone is not used, and what follows is shape
   * arithmetic.
   */
  readonly readsShapeOnly?: true;
  /** Inputs whose values do not count, for these attributes. */
  readonly ignores?: (attributes: Attributes) => readonly number[];
  /**
   * On 8- and 16-bit integers, which are computed as 32-bit ones: "keeps": the first output has the type of
   * the first input; "wraps": it may also leave that type's range, and then comes back in at the other end.
   */
  readonly integers?: "keeps" | "wraps";
  /** What it does to the logits where it stands between them and a graph output. */
  readonly tail?: Tail;
  /** Adapts inputs that exporters baked in for the file's own batch size to a larger one. */
  readonly rebatch?: (batch: LargerBatch) => Inputs;
  /** What a user should know besides "as in ONNX". */
  readonly note?: string;
}

/**
 * "transparent": neither which class wins nor what a logit is changes. "rearranges": the numbers' order
 * stays. "ranks": places of the largest numbers. Otherwise, what the output holds.
 */
export type Tail = "transparent" | "rearranges" | "ranks" | Exclude<Head["outputKind"], "logits">;

export type Attributes = Readonly<Record<string, AttributeValue>>;

/** A node whose inputs and outputs hold the batch in at most one axis each. */
export interface BatchedNode {
  readonly attributes: Attributes;
  readonly inputs: Inputs;
  readonly outputs: readonly Value[];
  /** Per input and output: the axis that holds the batch, the samples one after the other; -1: none. */
  readonly axes: { readonly inputs: readonly number[]; readonly outputs: readonly number[] };
}

/** Whether samples meet; called where at least one input holds the batch. */
export type Mixing = (node: BatchedNode) => boolean;

/** A node about to run on `to` samples in a file made for `from`. */
export interface LargerBatch {
  readonly node: OnnxNode;
  readonly inputs: Inputs;
  /** The axis of an input that holds the batch; -1: none; undefined: not a single one. */
  readonly axisOf: (input: number) => number | undefined;
  /** Shape of a value at the file's own batch size. */
  readonly own: (name: string) => readonly number[] | undefined;
  readonly from: number;
  readonly to: number;
}

/**
 * An operator that runs a function and has these facts. The function stays as it is: it may be another
 * operator.
 */
export const operator = <Arguments extends readonly unknown[], Result>(
  facts: OperatorFacts,
  run: (...given: Arguments) => Result,
): ((...given: Arguments) => Result) & { readonly facts: OperatorFacts } =>
  Object.assign((...given: Arguments) => run(...given), { facts });

/** Facts of an operator declared as a function: `Conv.facts = facts({ … })`. */
export const facts = (of: OperatorFacts): OperatorFacts => of;

/** Samples meet only where the shapes of the outputs show it. */
export const never: Mixing = () => false;
export const always: Mixing = () => true;
/** Nothing to say of it. */
export const plain: OperatorFacts = { mixes: never };
/**
 * Samples are apart where each input holds the batch in this axis or not at all (-1, and further inputs: not
 * at all).
 */
export const unlessBatchIn =
  (...places: readonly number[]): Mixing =>
  ({ axes }) =>
    axes.inputs.some((axis, i) => axis >= 0 && axis !== (places[i] ?? -1));
/** Elements are combined along the axes after this one, whichever input holds the batch there. */
export const alongAxesAfter =
  (last: number): Mixing =>
  ({ axes }) =>
    axes.inputs.some((axis) => axis > last);
/** Combines elements along these axes of its first input; negative ones count from the last. */
export const along =
  (axesOf: (attributes: Attributes, rank: number, inputs: Inputs) => readonly number[]): Mixing =>
  ({ attributes, inputs, axes }) => {
    const rank = dimsOf(inputs[0]!).length;
    return axesOf(attributes, rank, inputs).some((axis) => positiveAxis(axis, rank) === axes.inputs[0]);
  };
/** Along the axis in the attribute `axis`. */
export const alongAxis = (fallback: number): Mixing => along(({ axis = fallback }) => [Number(axis)]);
/** Along the axis in the attribute `axis` and those after it. */
export const alongAxesFrom = (fallback: number): Mixing =>
  along(({ axis = fallback }, rank) => axesFrom(positiveAxis(Number(axis), rank), rank));
/** Along the axes that an input lists. */
export const alongInput = (index: number): Mixing => along((_, __, inputs) => numbersOf(inputs[index]));
/** The batch axis gets another length. */
export const resizesBatch: Mixing = ({ inputs: [x], outputs: [y], axes }) =>
  dimsOf(x!)[axes.inputs[0]!] !== dimsOf(y!)[axes.inputs[0]!];

/** The axes from `first` on. */
export const axesFrom = (first: number, rank: number): number[] =>
  Array.from({ length: rank - first }, (_, i) => first + i);
/** The numbers of a value known while the graph is imported; none of others. */
export const numbersOf = (value: Value | undefined): readonly number[] =>
  isHost(value) ? Array.from(value.array.data) : [];

/** A shape whose batch axis has grown. */
export const grown = (dims: readonly number[], axis: number, { from, to }: LargerBatch): number[] =>
  dims.map((d, i) => (i === axis ? (d / from) * to : d));
/** The inputs with a list of integers in the place of one. */
export const withInts = (inputs: Inputs, index: number, values: readonly number[]): Inputs =>
  inputs.map((value, i) => (i === index ? host("int64", [values.length], values) : value));
/** An operand of one sample, repeated for all of a larger batch. */
export function repeated(value: Value, axis: number, batch: LargerBatch): Value {
  const dims = dimsOf(value);
  return dims[axis] === 1 ? expand(toTensor(value), grown(dims, axis, batch)) : value;
}
