import type { TensorSpec } from "../../converters/compile/step.ts";
import type { NumberArray } from "../engine/engine.ts";

export type Named<T> = Readonly<Record<string, T>>;

/** A start value and its spec, as engines take it. */
export interface Carried {
  readonly spec: TensorSpec;
  readonly data: NumberArray;
}

export const SCALAR: TensorSpec = { shape: [], dtype: "float32" };
export const scalarOf = (value: number): Float32Array => Float32Array.of(value);

/** What goes from step to step. T: tensors, their specs, or arrays. */
export interface TrainState<T> {
  readonly weights: Named<T>;
  /** Of the optimizer: per slot one value for each weight, by the weight's name. */
  readonly slots: Named<Named<T>>;
  /** Of the optimizer. */
  readonly scalars: Named<T>;
  /** Scalars of the dual variable. */
  readonly dual: Named<T>;
}

/** Engines know flat records only: here the keys of named values are made and read, as `group:name`. */
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
/** Which elements of a weight may change. */
export const maskKeys = keysOf("mask");
export const dualKeys = keysOf("dual");
/** Of the method's loss of this index. */
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
