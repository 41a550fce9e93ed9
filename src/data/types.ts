/** Bits of a multi-label sample (each 0 or 1), or values of a regression. */
export interface VectorTargets {
  readonly kind: "multi-label" | "regression";
  readonly data: Float32Array;
  /** Numbers per sample. */
  readonly width: number;
}

/**
 * Samples held in memory: model inputs by name (row-major, already preprocessed) and labels.
 * `dims` is the shape of all samples together or of one sample: told apart by the rank of the model's input.
 */
export interface Dataset {
  readonly path: string;
  readonly count: number;
  readonly inputs: Readonly<
    Record<string, { readonly data: Float32Array | Int32Array; readonly dims: readonly number[] }>
  >;
  /** Class of each sample; empty where `targets` stands in its place. */
  readonly labels: Int32Array;
  /** In place of classes: [count, width] row-major. */
  readonly targets?: VectorTargets;
}
