import { OnnxUnlearnError } from "../converters/errors.ts";

/** @throws OnnxUnlearnError INTERRUPTED (exit 130) once the caller has asked to stop */
export function refuseInterrupted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new OnnxUnlearnError("INTERRUPTED", "Interrupted; nothing was written.", 130);
}
