/**
 * ONNX Runtime with its telemetry off. All modules import this file, never the package itself.
 */
import "./silence.ts";

export * from "onnxruntime-node";
