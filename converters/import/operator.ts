import { positiveAxis } from "../dims.ts";
import { expand } from "../kernels/movement.ts";
import type { AttributeValue, OnnxNode } from "../onnx/model.ts";
import type { Head } from "./model.ts";
import { dimsOf, host, type Inputs, isHost, type OperatorContext, toTensor, type Value } from "./value.ts";

/** Computes a node. Attributes are checked by each operator's own destructuring type, hence `never` here. */
export type Run = (inputs: Inputs, attributes: never, context: OperatorContext) => Value | Value[];

/** An implementation of an ONNX operator, and what the importer must know of it. */
export interface Operator extends Run {
  readonly facts: OperatorFacts;
}

/** Properties of an operator besides what it computes, read by the importer and by docs/operators.md. */
export interface OperatorFacts {
  /**
   * Whether the result for a sample depends on other samples of its batch, or on its position among them. A
   * batch axis that is reduced, doubled or lost is found from the shapes of the outputs and need not be
   * stated.
   */
  readonly mixes: Mixing;
  /**
   * "zero": the operator is integer, boolean, shape or piecewise constant, so its gradient is zero wherever
   * it exists, and other gradients are not affected. Without it, the tests demand a case that compares the
   * gradient with central differences.
   */
  readonly gradient?: "zero";
  /** Inputs that are settings or statistics, not weights: input index → why they are frozen by default. */
  readonly frozen?: Readonly<Record<number, string>>;
  /** A weight of one number in this operator is a constant of the architecture, such as 1/√d, and frozen. */
  readonly freezesNumbers?: true;
  /**
   * Only the shape of the input is used. A weight used only here is not trained, and what follows is shape
   * arithmetic.
   */
  readonly readsShapeOnly?: true;
  /** Inputs whose values are not used, for these attributes. */
  readonly ignores?: (attributes: Attributes) => readonly number[];
  /**
   * The type of the first output for 8- and 16-bit integers, which are computed as int32. "keeps": that of
   * the first input. "wraps": the same, but a result outside its range must wrap around.
   */
  readonly integers?: "keeps" | "wraps";
  /** How it changes the logits if it lies between them and a graph output. */
  readonly tail?: Tail;
  /** Adapts inputs that exporters fixed for the file's own batch size to a larger one. */
  readonly rebatch?: (batch: LargerBatch) => Inputs;
  /** What a user should know, besides "as in ONNX". */
  readonly note?: string;
}

/**
 * "transparent": neither the winning class nor the logits change. "rearranges": the order of the numbers by
 * size stays. "ranks": indices of the largest numbers. Otherwise, what the output holds.
 */
export type Tail = "transparent" | "rearranges" | "ranks" | Exclude<Head["outputKind"], "logits">;

export type Attributes = Readonly<Record<string, AttributeValue>>;

/** A node whose inputs and outputs have the batch in at most one axis each. */
export interface BatchedNode {
  readonly attributes: Attributes;
  readonly inputs: Inputs;
  readonly outputs: readonly Value[];
  /** Per input and output the axis that holds the batch, one sample after the other; -1: none. */
  readonly axes: { readonly inputs: readonly number[]; readonly outputs: readonly number[] };
}

/** Whether samples depend on each other; called if at least one input holds the batch. */
export type Mixing = (node: BatchedNode) => boolean;

/** A node to be run on `to` samples in a file made for `from`. */
export interface LargerBatch {
  readonly node: OnnxNode;
  readonly inputs: Inputs;
  /** The axis of an input that holds the batch; -1: none; undefined: not exactly one. */
  readonly axisOf: (input: number) => number | undefined;
  /** Shape of a value at the file's own batch size. */
  readonly own: (name: string) => readonly number[] | undefined;
  readonly from: number;
  readonly to: number;
}

/**
 * An operator from a function and its facts. The function is wrapped, not changed: it may itself be an
 * operator.
 */
export const operator = <Arguments extends readonly unknown[], Result>(
  facts: OperatorFacts,
  run: (...given: Arguments) => Result,
): ((...given: Arguments) => Result) & { readonly facts: OperatorFacts } =>
  Object.assign((...given: Arguments) => run(...given), { facts });

/** Gives facts their type, for an operator declared as a function: `Conv.facts = facts({ … })`. */
export const facts = (of: OperatorFacts): OperatorFacts => of;

/** Samples depend on each other only if the shapes of the outputs show it. */
export const never: Mixing = () => false;
export const always: Mixing = () => true;
/** No special properties. */
export const plain: OperatorFacts = { mixes: never };
/**
 * Samples are independent if each input holds the batch in this axis, or not at all. -1, or no entry: this
 * input must not hold it.
 */
export const unlessBatchIn =
  (...places: readonly number[]): Mixing =>
  ({ axes }) =>
    axes.inputs.some((axis, i) => axis >= 0 && axis !== (places[i] ?? -1));
/** Combines elements along the axes after `last`, whichever input holds the batch there. */
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
/** The batch axis changes its length. */
export const resizesBatch: Mixing = ({ inputs: [x], outputs: [y], axes }) =>
  dimsOf(x!)[axes.inputs[0]!] !== dimsOf(y!)[axes.inputs[0]!];

/** The axes from `first` on. */
export const axesFrom = (first: number, rank: number): number[] =>
  Array.from({ length: rank - first }, (_, i) => first + i);
/** The numbers of a value known while the graph is imported; [] for a tensor. */
export const numbersOf = (value: Value | undefined): readonly number[] =>
  isHost(value) ? Array.from(value.array.data) : [];

/** A shape with its batch axis grown to the larger batch. */
export const grown = (dims: readonly number[], axis: number, { from, to }: LargerBatch): number[] =>
  dims.map((d, i) => (i === axis ? (d / from) * to : d));
/** The inputs with one of them replaced by a list of integers. */
export const withInts = (inputs: Inputs, index: number, values: readonly number[]): Inputs =>
  inputs.map((value, i) => (i === index ? host("int64", [values.length], values) : value));
/** An operand of one sample, repeated for all of a larger batch. */
export function repeated(value: Value, axis: number, batch: LargerBatch): Value {
  const dims = dimsOf(value);
  return dims[axis] === 1 ? expand(toTensor(value), grown(dims, axis, batch)) : value;
}
