import type * as tf from "@tensorflow/tfjs-core";
import type { DataType, OnnxModel, OnnxValueInfo } from "../onnx/model.ts";

/** Shape and element type of a tensor without its values. */
export interface TensorType {
  readonly shape: readonly number[];
  readonly dtype: "float32" | "int32" | "bool";
}

/**
 * Calls a function with tensors of these types that hold no values; it may apply tfjs operators but not read
 * values.
 */
export type CallWithoutValues = (
  use: (tensors: Readonly<Record<string, tf.Tensor>>) => void,
  types: Readonly<Record<string, TensorType>>,
) => void;

/** A float tensor of the file that could be trained, and whether it is. */
export interface Parameter {
  /** Initializer name, or the output name of the `Constant` node that holds it. */
  readonly name: string;
  readonly dims: readonly number[];
  readonly dtype: DataType;
  /** The values as float32, row-major; the copy that training changes. */
  readonly data: Float32Array;
  readonly trainable: boolean;
  /** Why it is frozen; undefined when trainable. */
  readonly frozenBecause: string | undefined;
  /** Why nothing can be computed with its values; undefined where they are numbers, or where it is unused. */
  readonly unfit?: string;
}

/** The logits, the output they lead to, and what that output holds. */
export interface Head {
  /** Value name of the logits, [batch, classes]. */
  readonly logits: string;
  /** Graph output reached from the logits, and what it holds. */
  readonly output: string;
  readonly outputKind: "logits" | "probabilities" | "log-probabilities" | "sigmoid" | "labels";
}

/**
 * How many samples the graph takes. "free": any number. "rebatched": the file fixes `size`, but the graph was
 * adapted to any number. "split": the graph works on `size` samples only, so a batch is cut into pieces of
 * that size.
 */
export type Batching =
  | { readonly kind: "free" }
  | { readonly kind: "rebatched"; readonly size: number }
  | { readonly kind: "split"; readonly size: number; readonly because: string };

/** The trainable tfjs graph of an ONNX file. */
export interface TrainableModel {
  readonly source: OnnxModel;
  /** Every float weight, trainable and frozen, in file order. */
  readonly parameters: readonly Parameter[];
  /** The inputs of the file that the logits depend on, and that data is loaded for. */
  readonly inputs: readonly OnnxValueInfo[];
  /**
   * The inputs of `apply`: the same, unless the graph is cut. A graph is cut after operators that only ONNX
   * Runtime knows, or before the first trained weights; the values at the cut then replace the inputs.
   */
  readonly stepInputs: readonly OnnxValueInfo[];
  /** The values among `stepInputs` that ONNX Runtime computes from the file once, before training. */
  readonly frontier: readonly string[];
  /** The fixed batch size of the inputs; undefined if it is free. */
  readonly fixedBatch: number | undefined;
  readonly batching: Batching;
  readonly head: Head;
  /**
   * Pure function of tfjs operators: differentiable, and runs on any tfjs backend, also the compiler's.
   * @param parameters trainable weights by name; frozen ones are part of the graph
   * @param inputs `stepInputs` by name, batch first
   * @returns logits [batch, classes]
   */
  apply(
    parameters: Readonly<Record<string, tf.Tensor>>,
    inputs: Readonly<Record<string, tf.Tensor>>,
  ): tf.Tensor;
  /**
   * As `apply`, but in the graph's own shape, which need not be [batch, classes] (images, boxes, embeddings).
   */
  forward(
    parameters: Readonly<Record<string, tf.Tensor>>,
    inputs: Readonly<Record<string, tf.Tensor>>,
  ): tf.Tensor;
  /** Shape of every value for inputs of these shapes; computes nothing. */
  shapes(inputs: Readonly<Record<string, readonly number[]>>): ReadonlyMap<string, readonly number[]>;
  /**
   * Why the logits of one sample depend on the other samples of its batch (a softmax along the batch, say);
   * undefined if they do not, so that rows of a batch can be computed separately.
   * @param inputs types of the inputs of `apply`, for some batch size
   */
  mixes(inputs: Readonly<Record<string, TensorType>>): string | undefined;
  /**
   * The same model, cut before its trained weights: `frontier` then holds the values at the cut. Returns
   * itself if there is nothing before them, or the batch is fixed.
   */
  cutAtWeights(): TrainableModel;
}

/** Which weights are trained, and where the logits are. */
export interface ImportOptions {
  /** Globs over parameter names; train exactly these. */
  readonly train?: readonly string[];
  /** Globs over parameter names; never train these. */
  readonly freeze?: readonly string[];
  /** Value name of the logits, if they cannot be found or are ambiguous. */
  readonly logits?: string;
}
