import type { Dataset } from "../data/types.ts";
import { openFile } from "../engine/session.ts";
import { type FileInterface, feedsOf } from "./predict.ts";

/** Time of one run of each of two files, measured alternately so that the machine's load affects both. */
export interface Latency {
  /** Median milliseconds. */
  readonly before: number;
  readonly after: number;
  /** Median over the rounds of after / before. */
  readonly ratio: number;
  readonly rounds: number;
  readonly batch: number;
}

const WARM_UP = 3;
const ROUNDS = 30;
/** After this time no further round starts, though at least five are run. */
const LONGEST_MS = 10_000;

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

/** Times both alternately; each round swaps their order. @param clock returns milliseconds */
export async function interleaved(
  runs: { readonly before: () => Promise<unknown>; readonly after: () => Promise<unknown> },
  clock: () => number,
): Promise<Omit<Latency, "batch">> {
  const timed = async (run: () => Promise<unknown>): Promise<number> => {
    const start = clock();
    await run();
    return clock() - start;
  };
  for (let i = 0; i < WARM_UP; i++) {
    await runs.before();
    await runs.after();
  }
  const [before, after]: [number[], number[]] = [[], []];
  const started = clock();
  for (let round = 0; round < ROUNDS; round++) {
    if (round >= 5 && clock() - started > LONGEST_MS) break;
    const measure = {
      before: async () => before.push(await timed(runs.before)),
      after: async () => after.push(await timed(runs.after)),
    };
    for (const side of round % 2 ? (["after", "before"] as const) : (["before", "after"] as const))
      await measure[side]();
  }
  return {
    before: median(before),
    after: median(after),
    ratio: median(after.map((time, i) => time / before[i]!)),
    rounds: before.length,
  };
}

/** Latency of two files in ONNX Runtime, on the first sample of a set or on a batch of the fixed size. */
export async function measureLatency(
  models: { readonly before: FileInterface; readonly after: FileInterface },
  set: Dataset,
  threads?: number,
): Promise<Latency> {
  const [before, after] = [
    await openFile(models.before.source, { threads }),
    await openFile(models.after.source, { threads }),
  ];
  try {
    const batch = models.before.fixedBatch ?? 1;
    const feeds = (model: FileInterface) => {
      const rows = model.fixedBatch ?? 1;
      return feedsOf(set, model.inputs, { from: 0, count: Math.min(rows, set.count), rows });
    };
    const [ofBefore, ofAfter] = [feeds(models.before), feeds(models.after)];
    return {
      ...(await interleaved({ before: () => before.run(ofBefore), after: () => after.run(ofAfter) }, () =>
        performance.now(),
      )),
      batch,
    };
  } finally {
    await before.release();
    await after.release();
  }
}
