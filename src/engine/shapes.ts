import { traceShapes } from "../../converters/compile/compile.ts";
import type { StepFunction, StepSignature, TensorSpec } from "../../converters/compile/step.ts";

/** Shapes of a step's results, found by tracing it without computing anything. */
export const resultSpecs = (
  step: StepFunction,
  signature: StepSignature,
): Readonly<Record<string, TensorSpec>> => traceShapes(step, signature);
