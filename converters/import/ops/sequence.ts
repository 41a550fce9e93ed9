import { positiveAxis } from "../../dims.ts";
import { notTrainable } from "../../errors.ts";
import { alongAxis, facts, plain } from "../operator.ts";
import { dimsOf, host, type Inputs, type OperatorContext, toNumbers, type Value } from "../value.ts";
import { Concat, Slice_10, Squeeze_13, Unsqueeze_13 } from "./movement.ts";

/** A sequence of values; only the operators of this file take it. */
interface SequenceValue {
  readonly lane: "sequence";
  readonly items: readonly Value[];
  /** Shown in error messages in place of a tensor's shape. */
  readonly shape: readonly number[];
}

const sequence = (items: readonly Value[]): Value =>
  ({ lane: "sequence", items, shape: [items.length] }) satisfies SequenceValue as unknown as Value;
function itemsOf(value: Value | undefined, { where }: OperatorContext): readonly Value[] {
  const given = value as unknown as SequenceValue | undefined;
  if (given?.lane !== "sequence")
    throw notTrainable("NOT_A_SEQUENCE", `${where}: a sequence is needed, but a tensor was given.`);
  return given.items;
}
/** An index, negative ones counted from the end; `last` if there is none. */
function placeOf(index: Value | undefined, last: number, length: number, context: OperatorContext): number {
  if (index === undefined) return last;
  const at = toNumbers(index, "position", context)[0]!;
  return at < 0 ? at + length : at;
}

export const SequenceConstruct = (inputs: Inputs): Value => sequence(inputs as readonly Value[]);
SequenceConstruct.facts = plain;
export const SequenceEmpty = (): Value => sequence([]);
SequenceEmpty.facts = facts({ ...plain, gradient: "zero" });
export const SequenceLength = ([list]: Inputs, _: object, context: OperatorContext): Value =>
  host("int64", [], [itemsOf(list, context).length]);
SequenceLength.facts = facts({ ...plain, gradient: "zero" });
export function SequenceAt([list, position]: Inputs, _: object, context: OperatorContext): Value {
  const items = itemsOf(list, context);
  const item = items[placeOf(position, items.length - 1, items.length, context)];
  if (!item)
    throw notTrainable(
      "SEQUENCE_POSITION",
      `${context.where}: the sequence has ${items.length} entries; the position lies outside.`,
    );
  return item;
}
SequenceAt.facts = plain;
export function SequenceInsert([list, item, position]: Inputs, _: object, context: OperatorContext): Value {
  const items = itemsOf(list, context);
  const at = placeOf(position, items.length, items.length, context);
  return sequence([...items.slice(0, at), item!, ...items.slice(at)]);
}
SequenceInsert.facts = plain;
export function SequenceErase([list, position]: Inputs, _: object, context: OperatorContext): Value {
  const items = itemsOf(list, context);
  const at = placeOf(position, items.length - 1, items.length, context);
  return sequence(items.filter((_item, i) => i !== at));
}
SequenceErase.facts = plain;

const ints = (...values: number[]) => host("int64", [values.length], values);
/** Splits into parts of one size, parts of given sizes, or single slices without the axis. */
export function SplitToSequence(
  [x, split]: Inputs,
  { axis = 0, keepdims = 1 }: { axis?: number; keepdims?: number },
  context: OperatorContext,
): Value {
  const dims = dimsOf(x!);
  const at = positiveAxis(axis, dims.length);
  const given = split ? toNumbers(split, "split", context) : [1];
  const one = !split || dimsOf(split).length === 0;
  const sizes = one
    ? Array.from({ length: Math.ceil(dims[at]! / given[0]!) }, (_, i) =>
        Math.min(given[0]!, dims[at]! - i * given[0]!),
      )
    : given;
  let start = 0;
  const parts = sizes.map((size) => {
    const part = Slice_10([x, ints(start), ints(start + size), ints(at)], {}, context);
    start += size;
    return split || keepdims ? part : Squeeze_13([part, ints(at)], {}, context);
  });
  return sequence(parts);
}
SplitToSequence.facts = facts({ mixes: alongAxis(0) });
export function ConcatFromSequence(
  [list]: Inputs,
  { axis, new_axis = 0 }: { axis: number; new_axis?: number },
  context: OperatorContext,
): Value {
  const items = itemsOf(list, context);
  const parts = new_axis ? items.map((item) => Unsqueeze_13([item, ints(axis)], {}, context)) : items;
  return Concat(parts, { axis });
}
ConcatFromSequence.facts = plain;

/** An optional value with content is represented by the content itself. */
export const Optional = ([x]: Inputs, _: object, { where }: OperatorContext): Value => {
  if (x === undefined)
    throw notTrainable("OPTIONAL_EMPTY", `${where}: an empty optional value cannot be imported.`);
  return x;
};
Optional.facts = plain;
export const OptionalGetElement = ([x]: Inputs): Value => x!;
OptionalGetElement.facts = plain;
export const OptionalHasElement = ([x]: Inputs): Value => host("bool", [], [x === undefined ? 0 : 1]);
OptionalHasElement.facts = facts({ ...plain, gradient: "zero" });
