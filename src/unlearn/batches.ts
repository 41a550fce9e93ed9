import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { Dataset } from "../data/types.ts";

/** A uniform whole number from `from` to `to`, both included. */
export type Draw = (from: number, to: number) => number;

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

/** Batches of the shuffled union of both sides (METHOD section 3). */
export function mixedBatches(forget: Sample[], retain: Sample[], n: number, draw: Draw): BatchPlan {
  const order = [...forget, ...retain];
  return {
    epoch: () => cut(shuffle(order, draw), n),
    count: () => Math.ceil(order.length / n),
  };
}

/** A pass over the forget side in the first `forgetEpochs` epochs, then one over the retained side, never mixed. */
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

/** Targets of every sample of one set, ready to be copied into a batch. */
export interface Targets {
  readonly data: Int32Array | Float32Array;
  /** Numbers per sample: 1 for classes. */
  readonly width: number;
}

export const ownTargetsOf = (set: Dataset): Targets => set.targets ?? { data: set.labels, width: 1 };

/** Targets drawn anew: classes uniformly, bits by a coin, regression targets from another of the set's samples. */
export function redrawnTargets(
  set: Dataset,
  kind: "classes" | "bits" | "values",
  classes: number,
  draw: Draw,
): Targets {
  if (kind === "classes")
    return { data: Int32Array.from({ length: set.count }, () => draw(0, classes - 1)), width: 1 };
  const { data, width } = set.targets!;
  if (kind === "bits") return { data: Float32Array.from(data, () => draw(0, 1)), width };
  const out = new Float32Array(data.length);
  for (let i = 0; i < set.count; i++) {
    const other = draw(0, set.count - 1);
    out.set(data.subarray(other * width, (other + 1) * width), i * width);
  }
  return { data: out, width };
}

/** Per sample, the most likely class that is not its own. */
export function likelyOtherTargets(set: Dataset, logits: Float32Array): Targets {
  const width = logits.length / set.count;
  // One logit: the other of two classes.
  if (width === 1) return { data: set.labels.map((y) => 1 - y), width: 1 };
  const data = set.labels.map((own, i) => {
    let best = own === 0 ? 1 : 0;
    for (let c = 0; c < width; c++)
      if (c !== own && logits[i * width + c]! > logits[i * width + best]!) best = c;
    return best;
  });
  return { data, width: 1 };
}
