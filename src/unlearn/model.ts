import type { TensorSpec, Tensors } from "../../converters/compile/step.ts";
import type { tf } from "../../converters/tf.ts";

/** An input of the graph. */
export interface GraphInput {
  readonly name: string;
  /** One entry per axis, the batch's first; undefined where the rank is not known. Only its length counts. */
  readonly dims?: readonly unknown[] | undefined;
}

/** A float32 weight. */
export interface GraphParameter {
  readonly name: string;
  readonly dims: readonly number[];
  /** Row-major. */
  readonly data: Float32Array;
  readonly trainable: boolean;
}

/** What can be trained, wherever it comes from: an importer's model has more than this. */
export interface TrainableGraph {
  readonly inputs: readonly GraphInput[];
  readonly parameters: readonly GraphParameter[];
  /** `split`: the graph works on `size` samples only, so that larger batches go through it in parts. */
  readonly batching:
    | { readonly kind: "free" | "rebatched" }
    | { readonly kind: "split"; readonly size: number };
  /**
   * A pure function of tfjs operations, so that it can be differentiated and compiled.
   * @param weights the trainable ones by name
   * @param inputs by name, the batch first
   * @returns float [batch, outputs]
   */
  apply(weights: Tensors, inputs: Tensors): tf.Tensor;
  /** Why the output for one sample depends on other samples of the batch; undefined where it does not. */
  mixes(inputs: Readonly<Record<string, TensorSpec>>): string | undefined;
}

export const trainableOf = ({ parameters }: TrainableGraph): readonly GraphParameter[] =>
  parameters.filter(({ trainable }) => trainable);
