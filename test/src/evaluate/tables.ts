import { join } from "node:path";
import { readNpz } from "../../../src/data/npz.ts";
import type { AttackedSets, ScoredSet } from "../../../src/evaluate/membership.ts";

export const fixtures = join(import.meta.dirname, "fixtures");

/** A table of probabilities recorded by fixtures/make_membership.py. */
export async function readTable(table: string): Promise<AttackedSets> {
  const arrays = await readNpz(join(fixtures, `membership-${table}.npz`));
  const set = (name: string): ScoredSet => {
    const p = arrays.get(`${name}_p`)!;
    return {
      probabilities: Float32Array.from(p.data),
      classes: p.dims[1]!,
      labels: Int32Array.from(arrays.get(`${name}_y`)!.data),
    };
  };
  return { retain: set("retain"), test: set("test"), forget: set("forget") };
}
