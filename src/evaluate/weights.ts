import type { Parameter } from "../../converters/import/model.ts";

/** Change of one weight; norms are Euclidean. */
export interface WeightChange {
  readonly name: string;
  readonly elements: number;
  readonly changedElements: number;
  /** ‖before‖ */
  readonly norm: number;
  /** ‖after − before‖; null if an element of AFTER is NaN or infinite. */
  readonly changeNorm: number | null;
  /** Elements of AFTER that are NaN or infinite. */
  readonly nonFinite: number;
}

/** Changes of the float weights between two files. */
export interface WeightChanges {
  /** In the order of the file; only those that changed. */
  readonly tensors: readonly WeightChange[];
  /** ‖after − before‖ / ‖before‖ over all float weights that both files have; null if it is not finite. */
  readonly relative: number | null;
}

/** Changes of the float weights that both files have with the same number of elements. */
export function weightChanges(before: readonly Parameter[], after: readonly Parameter[]): WeightChanges {
  const now = new Map(after.map(({ name, data }) => [name, data]));
  let [norms, changes] = [0, 0];
  const tensors: WeightChange[] = [];
  for (const { name, data } of before) {
    const other = now.get(name);
    if (!other || other.length !== data.length) continue;
    let [squares, moved, changedElements, nonFinite] = [0, 0, 0, 0];
    for (let i = 0; i < data.length; i++) {
      squares += data[i]! ** 2;
      if (!Number.isFinite(other[i]!)) nonFinite++;
      if (Object.is(data[i], other[i])) continue;
      changedElements++;
      moved += (other[i]! - data[i]!) ** 2;
    }
    norms += squares;
    changes += moved;
    if (changedElements > 0)
      tensors.push({
        name,
        elements: data.length,
        changedElements,
        norm: Math.sqrt(squares),
        changeNorm: Number.isFinite(moved) ? Math.sqrt(moved) : null,
        nonFinite,
      });
  }
  const relative = Math.sqrt(changes / norms);
  return { tensors, relative: Number.isFinite(relative) ? relative : null };
}
