import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { Dataset } from "../data/types.ts";
import type { Draw } from "../tasks/task.ts";

export type { Draw };

/** The draws of a seed, from their start at every call. */
export const drawing =
  (seed: number): (() => Draw) =>
  () => {
    const rng = xoroshiro128plus(seed);
    return (from, to) => uniformInt(rng, from, to);
  };

export interface Sample {
  readonly set: Dataset;
  readonly i: number;
  /** Whether it stands on the forget side. */
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

/** The order of a run's samples: batches of one epoch after the other, each with at most n samples. */
export interface BatchPlan {
  /** Batches of epoch 0…; drawn anew at each call. */
  readonly epoch: (epoch: number) => Sample[][];
  readonly count: (epoch: number) => number;
}

/** Retained samples first, else in their order. */
export const retainedFirst = (samples: readonly Sample[]): Sample[] => [
  ...samples.filter(({ forgets }) => !forgets),
  ...samples.filter(({ forgets }) => forgets),
];

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
 * In the first `forgetEpochs` epochs a pass over the forget side; then one over the retained side, not mixed.
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
