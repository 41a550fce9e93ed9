import type * as tf from "@tensorflow/tfjs-core";
import type { Precursor, VelocityPair } from "./in-place.ts";

/** Tensors by name. */
export type Tensors = Readonly<Record<string, tf.Tensor>>;

/** Shape and type of a tensor, without its values. */
export interface TensorSpec {
  readonly shape: readonly number[];
  readonly dtype: "float32" | "int32" | "bool";
}

/**
 * One training step as a pure function of tfjs operators, compiled to a graph or run eagerly. `carry`
 * (weights, optimiser state, dual variable) is passed from step to step, under the same keys; `results`
 * (losses, logits) are read by the caller after each step.
 */
export type StepFunction = (
  carry: Tensors,
  batch: Tensors,
) => { readonly carry: Tensors; readonly results: Tensors };

export interface StepSignature {
  readonly carry: Readonly<Record<string, TensorSpec>>;
  readonly batch: Readonly<Record<string, TensorSpec>>;
}

export interface CompiledGraph {
  /** Serialised ONNX ModelProto. */
  readonly bytes: Uint8Array;
  /** Graph input of each carry and batch key; with `preallocated`, of those that some node reads. */
  readonly inputs: {
    readonly carry: Readonly<Record<string, string>>;
    readonly batch: Readonly<Record<string, string>>;
  };
  /** Graph output of each carry and result key. */
  readonly outputs: {
    readonly carry: Readonly<Record<string, string>>;
    readonly results: Readonly<Record<string, string>>;
  };
  /** With `preallocated`: the first graph output, at which onnxruntime-node stops copying outputs. */
  readonly stop?: string;
  /** Intermediate values (float32 graph outputs) that must be computed in the memory of a carry output. */
  readonly precursors: readonly Precursor[];
  /**
   * Carry keys whose new value may overwrite the old one: all nodes that read the old one have run by then.
   */
  readonly inPlace: readonly string[];
  /** Graph inputs that are the first rows of a batch entry: a view of its memory, not a copy. */
  readonly leadingRows: readonly { readonly name: string; readonly key: string; readonly spec: TensorSpec }[];
  /** Weights and velocities (carry keys) that must share a buffer, and the inputs that read both at once. */
  readonly velocityPairs: readonly VelocityPair[];
  /** Bytes of all computed values, counted as 4 per element and without any reuse of memory. */
  readonly valueBytes: number;
  readonly resultSpecs: Readonly<Record<string, TensorSpec>>;
  /** Emitted nodes by operator, for tests and the profile of a training step. */
  readonly nodeCounts: Readonly<Record<string, number>>;
}
