import type * as tf from "@tensorflow/tfjs-core";
import type { Neighbours, Precursor } from "./in-place.ts";

export type Tensors = Readonly<Record<string, tf.Tensor>>;

/** Shape and type of a tensor, without its values. */
export interface TensorSpec {
  readonly shape: readonly number[];
  readonly dtype: "float32" | "int32" | "bool";
}

/**
 * A pure function of tfjs ops that is compiled or run eagerly.
 * `carry` (weights, optimiser state, dual variable) goes round; `results` (losses, logits) are handed out. Carry keys in = keys out.
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
  /** Value name in the graph of every carry/batch input and carry/result output; where the caller gives the memory, of the inputs that are read. */
  readonly inputs: {
    readonly carry: Readonly<Record<string, string>>;
    readonly batch: Readonly<Record<string, string>>;
  };
  readonly outputs: {
    readonly carry: Readonly<Record<string, string>>;
    readonly results: Readonly<Record<string, string>>;
  };
  /** Name of the first output, a sequence, where it was asked for. */
  readonly stop?: string;
  /** Further outputs, float32, that need the memory of the carry output they end as. */
  readonly precursors: readonly Precursor[];
  /** Carry keys whose new value may be written over the old one: whoever reads the old one has read it by then. */
  readonly inPlace: readonly string[];
  /** Further inputs that are the beginning of a batch entry. */
  readonly heads: readonly { readonly name: string; readonly key: string; readonly spec: TensorSpec }[];
  /** Carry keys whose memory lies side by side, and the further inputs that tell so; see {@link Neighbours}. */
  readonly neighbours: readonly Neighbours[];
  /** Bytes of all values between inputs and outputs, 4 a number, as if none took the place of another. */
  readonly valueBytes: number;
  readonly resultSpecs: Readonly<Record<string, TensorSpec>>;
  /** Emitted nodes by operator, for tests and the profile of a training step. */
  readonly nodeCounts: Readonly<Record<string, number>>;
}
