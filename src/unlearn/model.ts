import type { TensorSpec, Tensors } from "../../converters/compile/step.ts";
import type { tf } from "../../converters/tf.ts";

/** An input of the graph. */
export interface GraphInput {
  readonly name: string;
  /** One entry per axis, the batch's first; undefined if the rank is unknown. Only the length is used. */
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

/** The part of an imported model that training needs. */
export interface TrainableGraph {
  readonly inputs: readonly GraphInput[];
  readonly parameters: readonly GraphParameter[];
  /** `split`: the graph takes exactly `size` samples, so larger batches go through it in parts. */
  readonly batching:
    | { readonly kind: "free" | "rebatched" }
    | { readonly kind: "split"; readonly size: number };
  /**
   * The graph as a pure function of tfjs operations, which can be differentiated and compiled.
   * @param weights the trainable ones by name
   * @param inputs by name, the batch first
   * @returns float [batch, outputs]
   */
  apply(weights: Tensors, inputs: Tensors): tf.Tensor;
  /** Why the output for a sample depends on other samples of the batch; undefined if it does not. */
  mixes(inputs: Readonly<Record<string, TensorSpec>>): string | undefined;
}

/** Shapes and types of weights, by name. */
export const specsOf = (
  parameters: readonly Pick<GraphParameter, "name" | "dims">[],
): Record<string, TensorSpec> =>
  Object.fromEntries(parameters.map(({ name, dims }) => [name, { shape: dims, dtype: "float32" }]));

export const trainableOf = ({ parameters }: TrainableGraph): readonly GraphParameter[] =>
  parameters.filter(({ trainable }) => trainable);
