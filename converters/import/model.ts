import type * as tf from "@tensorflow/tfjs-core";
import type { DataType, OnnxModel, OnnxValueInfo } from "../onnx/model.ts";

/** Shape and element type of a tensor without its values. */
export interface TensorType {
  readonly shape: readonly number[];
  readonly dtype: "float32" | "int32" | "bool";
}

/**
 * Calls a function with tensors of these types that hold no values; it may use tfjs on them, but not read
 * them.
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
  /** float32 master copy, row-major. */
  readonly data: Float32Array;
  readonly trainable: boolean;
  /** Why it is frozen; undefined when trainable. */
  readonly frozenBecause: string | undefined;
  /** Why nothing can be computed with its values; undefined where they are numbers, or where it is unused. */
  readonly unfit?: string;
}

/** Where the logits are, and what the graph does to them before its output. */
export interface Head {
  /** Value name of the logits, [batch, classes]. */
  readonly logits: string;
  /** Graph output reached from the logits, and what it holds. */
  readonly output: string;
  readonly outputKind: "logits" | "probabilities" | "log-probabilities" | "sigmoid" | "labels";
}

/**
 * How many samples go through the graph at once. "free": any number. "rebatched": the file says `size`, and
 * the graph was adapted to any number. "split": the graph works on `size` samples only, so a batch is cut
 * into pieces of that size.
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
  /** The file's inputs on the way to the logits: what data is loaded for. */
  readonly inputs: readonly OnnxValueInfo[];
  /**
   * What `apply` takes: the same; or, where the graph begins with operators that only ONNX Runtime knows or
   * was cut at its first trained weights, the outputs of that beginning instead of its inputs.
   */
  readonly stepInputs: readonly OnnxValueInfo[];
  /** The values among `stepInputs` that ONNX Runtime computes from the file once, before training. */
  readonly frontier: readonly string[];
  /** The batch size baked into the inputs; undefined if free. */
  readonly fixedBatch: number | undefined;
  readonly batching: Batching;
  readonly head: Head;
  /**
   * Pure function of tfjs ops: differentiable, runs on any tfjs backend, also the tracing one.
   * @param parameters trainable weights by name (the frozen ones stand inside)
   * @param inputs `stepInputs` by name, batch first
   * @returns logits [batch, classes]
   */
  apply(
    parameters: Readonly<Record<string, tf.Tensor>>,
    inputs: Readonly<Record<string, tf.Tensor>>,
  ): tf.Tensor;
  /**
   * As `apply`, but in the graph's own shape, which need not be that of classes (images, boxes, embeddings).
   */
  forward(
    parameters: Readonly<Record<string, tf.Tensor>>,
    inputs: Readonly<Record<string, tf.Tensor>>,
  ): tf.Tensor;
  /** Shape of every value for inputs of these shapes; nothing is computed. */
  shapes(inputs: Readonly<Record<string, readonly number[]>>): ReadonlyMap<string, readonly number[]>;
  /**
   * Why the logits of one sample depend on the other samples of its batch (a softmax along the batch, say);
   * undefined where they do not: then some rows of a batch can be computed without the rest.
   * @param inputs what `apply` takes, for some batch
   */
  mixes(inputs: Readonly<Record<string, TensorType>>): string | undefined;
  /**
   * The same model with its graph cut where its trained weights begin: `frontier` are then the values before
   * them. Itself where nothing stands before them, or where the batch is fixed.
   */
  cutAtWeights(): TrainableModel;
}

/** Which weights are trained, and where the logits are. */
export interface ImportOptions {
  /** Globs over parameter names; train exactly these. */
  readonly train?: readonly string[];
  /** Globs over parameter names; never train these. */
  readonly freeze?: readonly string[];
  /** Value name of the logits, where they cannot be found or are ambiguous. */
  readonly logits?: string;
}
