import type { TensorSpec } from "../../converters/compile/step.ts";
import { elementCount } from "../../converters/dims.ts";

type Numbers = Float32Array | Int32Array;
export type BatchArrays = Readonly<Record<string, Numbers>>;

/** Samples that are read by their position: arrays in memory, or whatever can deliver chosen rows later. */
export interface SampleSource {
  /**
   * Writes samples into a batch: sample `indices[k]` of every column into row `at + k` of the array of the
   * column's name. Row-major; the arrays' lengths are a whole number of rows.
   */
  gather(indices: ArrayLike<number>, into: BatchArrays, at: number): void | Promise<void>;
}

/** Numbers of every sample of a set, [samples, width] row-major. */
export interface Column {
  readonly data: Numbers;
  readonly width: number;
}

/** Columns held in memory as a source. */
export const inMemory = (columns: Readonly<Record<string, Column>>): SampleSource => ({
  gather(indices, into, at) {
    for (const [name, { data, width }] of Object.entries(columns)) {
      const out = into[name]!;
      for (let k = 0; k < indices.length; k++) {
        const from = indices[k]! * width;
        out.set(data.subarray(from, from + width), (at + k) * width);
      }
    }
  },
});

/** Samples of one source that stand next to each other in a batch. */
export interface BatchPart {
  readonly source: SampleSource;
  readonly indices: ArrayLike<number>;
  /** Name of the mask that is 1 in their rows. */
  readonly mask?: string;
}

/** One batch of a walk over a source. */
export interface FilledBatch {
  readonly arrays: BatchArrays;
  /** Its samples are those from this one on … */
  readonly from: number;
  /** … so many; the rows after them are padding. */
  readonly count: number;
}

export interface Batcher {
  /** @returns the batch; its arrays are written over by the next one */
  fill(parts: readonly BatchPart[]): Promise<BatchArrays>;
  /** The chosen samples of a source in their order, batch by batch. */
  walk(source: SampleSource, indices: ArrayLike<number>, mask?: string): AsyncIterable<FilledBatch>;
}

export interface BatcherOptions {
  /** Shapes whose first axis is the batch's. */
  readonly columns: Readonly<Record<string, TensorSpec>>;
  /** Float arrays of one number per row: 1 for the samples of the parts that name them, else 0. */
  readonly masks?: readonly string[];
  readonly rows: number;
  /** What the rows after the last sample hold. */
  readonly padding: "first row" | "zeros";
}

/** Positions 0 … count − 1. */
export const everySample = (count: number): Int32Array => Int32Array.from({ length: count }, (_, i) => i);

/** Makes batches of one shape: it alone gathers samples into batch arrays, pads and masks them. */
export function createBatcher({ columns, masks = [], rows, padding }: BatcherOptions): Batcher {
  const values: BatchArrays = Object.fromEntries(
    Object.entries(columns).map(([name, { shape, dtype }]) => {
      const length = rows * elementCount(shape.slice(1));
      return [name, dtype === "int32" ? new Int32Array(length) : new Float32Array(length)];
    }),
  );
  const marks = Object.fromEntries(masks.map((name) => [name, new Float32Array(rows)]));
  const arrays: BatchArrays = { ...values, ...marks };
  const pad = (from: number) => {
    for (const array of Object.values(values)) {
      const width = array.length / rows;
      if (padding === "zeros") array.fill(0, from * width);
      else for (let row = from; row < rows; row++) array.copyWithin(row * width, 0, width);
    }
  };
  const fill: Batcher["fill"] = async (parts) => {
    for (const mark of Object.values(marks)) mark.fill(0);
    let at = 0;
    for (const { source, indices, mask } of parts) {
      await source.gather(indices, values, at);
      if (mask !== undefined) marks[mask]!.fill(1, at, at + indices.length);
      at += indices.length;
    }
    pad(at);
    return arrays;
  };
  return {
    fill,
    async *walk(source, indices, mask) {
      for (let from = 0; from < indices.length; from += rows) {
        const some = Array.prototype.slice.call(indices, from, from + rows) as number[];
        await fill([{ source, indices: some, ...(mask === undefined ? {} : { mask }) }]);
        yield { arrays, from, count: some.length };
      }
    },
  };
}
