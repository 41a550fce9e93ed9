import type { Labelled } from "../tasks/task.ts";

/**
 * Samples in memory: model inputs by name (row-major, already preprocessed), their truth and its task. `dims`
 * is the shape of all samples together, or of one sample; the rank of the model's input tells which.
 */
export interface Dataset extends Labelled {
  readonly inputs: Readonly<
    Record<string, { readonly data: Float32Array | Int32Array; readonly dims: readonly number[] }>
  >;
}
