import type { StepFunction, TensorSpec } from "../../converters/compile/step.ts";
import type { OperatorTime } from "./profile.ts";

/** Names of the engines, the default first. Types, checks, flags and schemas derive from this list. */
export const ENGINES = ["onnxruntime", "tensorflow", "cpu"] as const;
/** What runs the training steps: ONNX Runtime (compiled), TensorFlow (if installed), or plain JavaScript. */
export type EngineName = (typeof ENGINES)[number];

export type NumberArray = Float32Array | Int32Array | Uint8Array;
export type Arrays = Readonly<Record<string, NumberArray>>;

/** A step function prepared for one batch shape. It holds the carry between steps (see StepFunction). */
export interface Runner {
  readonly compileSeconds: number;
  /**
   * Runs the step once: replaces the carry and returns the results.
   * @throws Error if the batch lacks a key
   */
  run(batch: Arrays): Promise<Record<string, NumberArray>>;
  /** Copies of the carry. */
  read(): Promise<Record<string, NumberArray>>;
  /**
   * Overwrites entries of the carry.
   * @throws Error if the carry has no such key
   */
  write(carry: Arrays): Promise<void>;
  dispose(): Promise<void>;
}

export interface PrepareOptions {
  /**
   * Threads of the engine onnxruntime. The others ignore it: TensorFlow reads the environment variable
   * TF_NUM_INTRAOP_THREADS when it loads, and cpu has a single thread.
   */
  readonly threads?: number | undefined;
  /** Called with the time per operator when the runner is disposed of; only by the engine onnxruntime. */
  readonly onProfile?: ((rows: readonly OperatorTime[]) => void) | undefined;
}

export interface Engine {
  readonly name: EngineName;
  readonly version: string;
  prepare(
    step: StepFunction,
    carry: Readonly<Record<string, { readonly spec: TensorSpec; readonly data: NumberArray }>>,
    batch: Readonly<Record<string, TensorSpec>>,
    options?: PrepareOptions,
  ): Promise<Runner>;
}
