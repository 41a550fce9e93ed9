import { mean } from "../tasks/numbers.ts";

/** |value − the reference's|; null if either is unknown. */
export const gap = (value: number | null | undefined, reference: number | null | undefined): number | null =>
  typeof value === "number" && typeof reference === "number" ? Math.abs(value - reference) : null;

/** Mean of the gaps that are known (docs/method.md, "How unlearning is judged"); null if none is. */
export function averageGap(gaps: readonly (number | null)[]): number | null {
  const known = gaps.filter((distance) => distance !== null);
  return known.length === 0 ? null : mean(known);
}
