import { badInput } from "../../converters/errors.ts";
import type { Column, Labelled, Outputs, Truth, TruthArray } from "./task.ts";
import { layoutOf, truthOf } from "./truth.ts";

/**
 * Reads several numbers per sample from `y` [N, ...] or [N].
 * @param fits whether a value is allowed; `is` says in a message what is
 * @throws badInput LABELS_MISSING, SET_EMPTY, TARGET_RANGE
 */
export function readVectors(
  path: string,
  y: TruthArray | undefined,
  has: string,
  { fits, is }: { readonly fits: (value: number) => boolean; readonly is: string },
): { readonly count: number; readonly truth: Truth } {
  if (!y) throw badInput("LABELS_MISSING", `${path} has no array "y" of targets (${has}); add it.`);
  const { count, width } = layoutOf(path, y);
  const bad = Array.prototype.findIndex.call(y.data, (value: number) => !fits(value));
  if (bad >= 0)
    throw badInput(
      "TARGET_RANGE",
      `${path}: sample ${Math.floor(bad / width)} has the target ${y.data[bad]}; ${is}, mend "y".`,
    );
  return { count, truth: truthOf(Float32Array.from(y.data), [width]) };
}

/** @throws badInput TARGETS_SHAPE unless every sample has one target per output */
export function checkWidth({ path, truth }: Labelled, units: number): void {
  if (truth.width !== units)
    throw badInput(
      "TARGETS_SHAPE",
      `${path} has ${truth.width} targets per sample, but the model has ${units} outputs; mend "y".`,
    );
}

/** Per sample, the mean of value(z, y) over its outputs z and targets y. */
export function meanOverOutputs(
  { count }: Pick<Outputs, "count">,
  outputs: ArrayLike<number>,
  { data, width }: Truth,
  value: (z: number, y: number) => number,
): Column {
  return Float64Array.from({ length: count }, (_, i) => {
    let sum = 0;
    for (let at = i * width; at < (i + 1) * width; at++) sum += value(outputs[at]!, data[at]!);
    return sum / width;
  });
}

export const brokenWhere = (loss: Column): Column => loss.map((value) => Number(!Number.isFinite(value)));
