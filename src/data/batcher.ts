import type { TensorSpec } from "../../converters/compile/step.ts";
import { elementCount } from "../../converters/dims.ts";

type Numbers = Float32Array | Int32Array;
export type BatchArrays = Readonly<Record<string, Numbers>>;

/** Samples that can be read by index, whether they are in memory or fetched when asked for. */
export interface SampleSource {
  /**
   * Writes samples into a batch: sample `indices[k]` of every column into row `at + k` of the array with the
   * column's name. Arrays are row-major; `into` has room for all rows.
   */
  gather(indices: ArrayLike<number>, into: BatchArrays, at: number): void | Promise<void>;
}

/** Values of every sample of a set, [samples, width] row-major. */
export interface Column {
  readonly data: Numbers;
  readonly width: number;
}

/** A source whose columns are in memory. */
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

/** Consecutive rows of a batch, from one source. */
export interface BatchPart {
  readonly source: SampleSource;
  readonly indices: ArrayLike<number>;
  /** The mask that is set to 1 in these rows. */
  readonly mask?: string | undefined;
}

/** One batch of a walk over a source. */
export interface FilledBatch {
  readonly arrays: BatchArrays;
  /** Position of its first sample in the walk. */
  readonly from: number;
  /** How many samples it holds; the rows after them are padding. */
  readonly count: number;
}

export interface Batcher {
  /** @returns the batch; the next call overwrites its arrays */
  fill(parts: readonly BatchPart[]): Promise<BatchArrays>;
  /** Batches of the given samples of a source, in their order. */
  walk(source: SampleSource, indices: ArrayLike<number>, mask?: string): AsyncIterable<FilledBatch>;
}

export interface BatcherOptions {
  /** Type and shape of each column's array in a batch, the batch axis first. */
  readonly columns: Readonly<Record<string, TensorSpec>>;
  /** Names of the masks: float arrays, 1 in the rows of parts with that mask, else 0. */
  readonly masks?: readonly string[];
  readonly rows: number;
  /** What fills the rows after the last sample. */
  readonly padding: "first row" | "zeros";
}

/** Positions 0 … count − 1. */
export const everySample = (count: number): Int32Array => Int32Array.from({ length: count }, (_, i) => i);

/** Makes batches of one fixed shape: gathers samples into reused arrays, pads them and sets the masks. */
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
        await fill([{ source, indices: some, mask }]);
        yield { arrays, from, count: some.length };
      }
    },
  };
}
