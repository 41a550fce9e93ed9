import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { badInput } from "../../converters/errors.ts";
import type { Dataset } from "../data/types.ts";
import type { Goal } from "./types.ts";

/** Some samples of a set, in the given order. */
export function pick(set: Dataset, samples: readonly number[], path: string): Dataset {
  const rows = <T extends Float32Array | Int32Array>(data: T): T => {
    const width = data.length / set.count;
    const out = new (data.constructor as new (length: number) => T)(samples.length * width);
    samples.forEach((i, row) => {
      out.set(data.subarray(i * width, (i + 1) * width), row * width);
    });
    return out;
  };
  return {
    path,
    count: samples.length,
    labels: set.labels.length === 0 ? set.labels : rows(set.labels),
    inputs: Object.fromEntries(
      Object.entries(set.inputs).map(([name, { data, dims }]) => [
        name,
        { data: rows(data), dims: dims[0] === set.count ? [samples.length, ...dims.slice(1)] : dims },
      ]),
    ),
    ...(set.targets ? { targets: { ...set.targets, data: rows(set.targets.data) } } : {}),
  };
}

/** Several sets of the same kind as one, in the given order. */
export function join(sets: readonly [Dataset, ...Dataset[]]): Dataset {
  const [first, ...more] = sets;
  if (more.length === 0) return first;
  const count = sets.reduce((sum, set) => sum + set.count, 0);
  const rows = <T extends Float32Array | Int32Array>(parts: readonly T[]): T => {
    const out = new (parts[0]!.constructor as new (length: number) => T)(
      parts.reduce((sum, part) => sum + part.length, 0),
    );
    let at = 0;
    for (const part of parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  };
  return {
    path: first.path,
    count,
    labels: rows(sets.map(({ labels }) => labels)),
    inputs: Object.fromEntries(
      Object.entries(first.inputs).map(([name, { dims }]) => [
        name,
        {
          data: rows(sets.map(({ inputs }) => inputs[name]!.data)),
          dims: dims[0] === first.count ? [count, ...dims.slice(1)] : dims,
        },
      ]),
    ),
    ...(first.targets
      ? { targets: { ...first.targets, data: rows(sets.map(({ targets }) => targets!.data)) } }
      : {}),
  };
}

/**
 * Keeps a seeded share of a set out of training (METHOD section 6). The file alone decides the draw with the seed, so the same share is withheld from every method.
 * @throws badInput TOO_FEW where nothing would be left on one side
 */
export function withhold(set: Dataset, share: number, seed: number) {
  const rng = xoroshiro128plus(seed ^ 0x7a11da7e);
  const order = Array.from({ length: set.count }, (_, i) => i);
  for (let i = order.length - 1; i > 0; i--) {
    const j = uniformInt(rng, 0, i);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  const count = Math.max(1, Math.round(share * set.count));
  if (count >= set.count)
    throw badInput(
      "TOO_FEW",
      `${set.path} has ${set.count} samples, too few to withhold some for validation; give validation data.`,
    );
  const ascending = (samples: number[]) => samples.sort((a, b) => a - b);
  return {
    withheld: pick(set, ascending(order.slice(0, count)), `${set.path} (withheld)`),
    train: pick(set, ascending(order.slice(count)), set.path),
  };
}

/** `gone` where a class stands in the forget set only; else the forget samples should look like data the model never saw. */
export const goalOf = (forget: Dataset, retain: Dataset): Goal => {
  const kept = new Set(retain.labels);
  return forget.labels.some((label) => !kept.has(label)) ? "gone" : "unseen";
};
