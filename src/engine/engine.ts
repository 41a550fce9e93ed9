import type { StepFunction, TensorSpec } from "../../converters/compile/step.ts";
import type { OperatorTime } from "./profile.ts";

/** Every engine by name, the default first. Types, checks, flags and schemas derive from this list. */
export const ENGINES = ["onnxruntime", "tensorflow", "cpu"] as const;
/** What runs the training steps: ONNX Runtime (compiled), TensorFlow (if installed), or plain JavaScript. */
export type EngineName = (typeof ENGINES)[number];

export type NumberArray = Float32Array | Int32Array | Uint8Array;
export type Arrays = Readonly<Record<string, NumberArray>>;

/** A step function made ready for one batch shape; it owns the carry. */
export interface Runner {
  readonly compileSeconds: number;
  /** Runs the step once: the carry moves on, the results come back. */
  run(batch: Arrays): Promise<Record<string, NumberArray>>;
  /** Copies of the carry. */
  read(): Promise<Record<string, NumberArray>>;
  /** Overwrites (part of) the carry. */
  write(carry: Arrays): Promise<void>;
  dispose(): Promise<void>;
}

export interface PrepareOptions {
  /** Heeded by engine onnxruntime. TensorFlow makes its pool when it is loaded, of TF_NUM_INTRAOP_THREADS threads; cpu has one. */
  readonly threads?: number;
  /** Told the time per operator when the runner is disposed of; only engine onnxruntime measures it. */
  readonly onProfile?: (rows: readonly OperatorTime[]) => void;
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
