import { createHash } from "node:crypto";
import { elementCount } from "../../converters/dims.ts";
import { badInput } from "../../converters/errors.ts";
import type { Sets } from "./sets.ts";
import type { Dataset } from "./types.ts";

const computed = new WeakMap<Dataset, readonly string[]>();

/** A digest of every sample's inputs; a set is gone through once. */
function fingerprints(set: Dataset): readonly string[] {
  const known = computed.get(set);
  if (known) return known;
  const all = Array.from({ length: set.count }, (_, index) => {
    const hash = createHash("sha256");
    for (const [name, { data, dims }] of Object.entries(set.inputs)) {
      const width = elementCount(dims.slice(1));
      const part = data.subarray(index * width, (index + 1) * width);
      hash.update(name).update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
    }
    return hash.digest("base64");
  });
  computed.set(set, all);
  return all;
}

/** Pairs of exactly equal samples (inputs only; labels do not matter). */
export function findOverlap(a: Dataset, b: Dataset): { indexA: number; indexB: number }[] {
  const seen = new Map(fingerprints(a).map((print, i) => [print, i] as const));
  return fingerprints(b).flatMap((print, indexB) => {
    const indexA = seen.get(print);
    return indexA === undefined ? [] : [{ indexA, indexB }];
  });
}

/** @throws badInput OVERLAP where a sample stands in both sets */
export function refuseOverlap(a: Dataset, b: Dataset): void {
  const pairs = findOverlap(a, b);
  const [pair] = pairs;
  if (pair)
    throw badInput(
      "OVERLAP",
      `Sample ${pair.indexA} of ${a.path} is also sample ${pair.indexB} of ${b.path}${pairs.length > 1 ? `, as are ${pairs.length - 1} more` : ""}; remove it from one, or allow the overlap.`,
    );
}

interface Pair {
  readonly names: readonly [string, string];
  readonly sets: readonly [Dataset, Dataset];
}

/** Every two sets of a request, by the names of their roles. */
function pairsOf({ also = {}, ...main }: Sets): Pair[] {
  const named = [...Object.entries(main), ...Object.entries(also)].flatMap(([name, set]) =>
    set ? [[name, set] as const] : [],
  );
  return named.flatMap(([name, set], i) =>
    named.slice(i + 1).map(([other, more]): Pair => ({ names: [name, other], sets: [set, more] })),
  );
}

const MAIN = new Set(["retain", "test", "validation"]);

/** Samples that two sets share, as a sentence each. */
export const overlapWarnings = (sets: Sets): string[] =>
  pairsOf(sets).flatMap(({ names: [a, b], sets: [first, second] }) => {
    const count = findOverlap(first, second).length;
    return count === 0
      ? []
      : [
          `${count} of the ${second.count} samples of the ${b} set (${second.path}) are also in the ${a} set (${first.path}), so figures on these two sets do not speak for each other.`,
        ];
  });

/**
 * Holds the sets of a run to their roles. A sample to be forgotten stands in no other set: the objectives
 * would fight over it, or forgetting would be judged by the forget set itself. Neither test nor validation is
 * wholly the retain set's: what trains would be what measures. Other overlaps are warned about.
 * @throws badInput OVERLAP
 */
export function refuseOverlaps(sets: Sets): void {
  for (const {
    names: [a, b],
    sets: [first, second],
  } of pairsOf(sets)) {
    if (!MAIN.has(b)) continue;
    const trainsOnIt = a === "retain" && (contains(first, second) || contains(second, first));
    if (a === "forget" || trainsOnIt) refuseOverlap(first, second);
  }
}

/** Whether every sample of the second set is in the first. */
const contains = (a: Dataset, b: Dataset): boolean => findOverlap(a, b).length === b.count;
