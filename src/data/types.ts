import type { Labelled } from "../tasks/task.ts";

/**
 * Samples held in memory: model inputs by name (row-major, already preprocessed), their truth and the task it
 * is of. `dims` is the shape of all samples together or of one sample: told apart by the rank of the model's
 * input.
 */
export interface Dataset extends Labelled {
  readonly inputs: Readonly<
    Record<string, { readonly data: Float32Array | Int32Array; readonly dims: readonly number[] }>
  >;
}
