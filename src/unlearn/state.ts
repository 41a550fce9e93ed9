import type { TensorSpec } from "../../converters/compile/step.ts";
import type { NumberArray } from "../engine/engine.ts";

export type Named<T> = Readonly<Record<string, T>>;

/** The same names with other values. */
export const mapValues = <T, U>(values: Named<T>, of: (value: T, name: string) => U): Record<string, U> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, of(value, name)]));

/** Start value of an entry of the carry, with its type and shape. */
export interface Carried {
  readonly spec: TensorSpec;
  readonly data: NumberArray;
}

export const SCALAR: TensorSpec = { shape: [], dtype: "float32" };
export const scalarOf = (value: number): Float32Array => Float32Array.of(value);

/** The state that a run carries from step to step. T: tensors, their specs, or arrays. */
export interface TrainState<T> {
  readonly weights: Named<T>;
  /** State of the optimizer, by slot: one value for each weight, by the weight's name. */
  readonly slots: Named<Named<T>>;
  /** Scalars of the optimizer. */
  readonly scalars: Named<T>;
  /** Scalars of the dual variable. */
  readonly dual: Named<T>;
}

/** Writes and reads groups of named values in the flat records that engines take, under keys `group:name`. */
const keysOf = (group: string) => ({
  flat: <T>(values: Named<T>): Record<string, T> =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [`${group}:${name}`, value])),
  read: <T>(flat: Named<T>): Record<string, T> =>
    Object.fromEntries(
      Object.entries(flat)
        .filter(([key]) => key.startsWith(`${group}:`))
        .map(([key, value]) => [key.slice(group.length + 1), value]),
    ),
});

export const weightKeys = keysOf("p");
export const inputKeys = keysOf("x");
/** Masks, by weight: which of its elements may change. */
export const maskKeys = keysOf("mask");
export const dualKeys = keysOf("dual");
/** Gradients of the method's loss with this index. */
export const gradientKeys = (loss: number) => keysOf(`g${loss}`);
const optimizerKeys = keysOf("optimizer");

/** A whole state as a flat record, and back. */
export const stateKeys = {
  flat: <T>({ weights, slots, scalars, dual }: TrainState<T>): Record<string, T> => ({
    ...weightKeys.flat(weights),
    ...Object.assign({}, ...Object.entries(slots).map(([slot, values]) => keysOf(slot).flat(values))),
    ...optimizerKeys.flat(scalars),
    ...dualKeys.flat(dual),
  }),
  /** @param slots of the optimizer */
  read: <T>(flat: Named<T>, slots: readonly string[]): TrainState<T> => ({
    weights: weightKeys.read(flat),
    slots: Object.fromEntries(slots.map((slot) => [slot, keysOf(slot).read(flat)])),
    scalars: optimizerKeys.read(flat),
    dual: dualKeys.read(flat),
  }),
};
