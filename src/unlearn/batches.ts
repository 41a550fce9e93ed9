import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { Dataset } from "../data/types.ts";
import type { Draw } from "../tasks/task.ts";

/** A function that starts the random draws of a seed anew at every call. */
export const drawing =
  (seed: number): (() => Draw) =>
  () => {
    const rng = xoroshiro128plus(seed);
    return (from, to) => uniformInt(rng, from, to);
  };

export interface Sample {
  readonly set: Dataset;
  readonly i: number;
  /** Whether it is a forget sample. */
  readonly forgets: boolean;
}

export const samplesOf = (set: Dataset, forgets: boolean): Sample[] =>
  Array.from({ length: set.count }, (_, i) => ({ set, i, forgets }));

/** Fisher–Yates, in place. */
export function shuffle<T>(items: T[], draw: Draw): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = draw(0, i);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}

const cut = <T>(items: readonly T[], n: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / n) }, (_, i) => items.slice(i * n, (i + 1) * n));

/**
 * `count` of the indices 0 … total − 1, ascending: a random draw without replacement; all of them if fewer.
 */
export function subset(total: number, count: number, draw: Draw): number[] {
  const order = Array.from({ length: total }, (_, i) => i);
  if (count >= total) return order;
  for (let i = 0; i < count; i++) {
    const j = draw(i, total - 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order.slice(0, count).sort((a, b) => a - b);
}

/** The batches of a run, epoch by epoch. */
export interface BatchPlan {
  /** Batches of epoch 0, 1, …; each call draws a new order. */
  readonly epoch: (epoch: number) => Sample[][];
  /** Number of batches of an epoch. */
  readonly count: (epoch: number) => number;
}

export const retainedIn = (samples: readonly Sample[]): number =>
  samples.reduce((count, { forgets }) => count + Number(!forgets), 0);

/** Batches of the shuffled union of both sides (docs/method.md, "Batches and gradient accumulation"). */
export function mixedBatches(forget: Sample[], retain: Sample[], n: number, draw: Draw): BatchPlan {
  const order = [...forget, ...retain];
  return {
    epoch: () => cut(shuffle(order, draw), n),
    count: () => Math.ceil(order.length / n),
  };
}

/**
 * Unmixed batches: each epoch is a pass over the retained side, after one over the forget side in the first
 * `forgetEpochs` epochs.
 */
export function forgetThenRetain(
  forget: Sample[],
  retain: Sample[],
  n: number,
  draw: Draw,
  forgetEpochs: number,
): BatchPlan {
  const first = [...forget];
  const second = [...retain];
  return {
    epoch: (epoch) => [
      ...(epoch < forgetEpochs ? cut(shuffle(first, draw), n) : []),
      ...cut(shuffle(second, draw), n),
    ],
    count: (epoch) => (epoch < forgetEpochs ? Math.ceil(first.length / n) : 0) + Math.ceil(second.length / n),
  };
}
