/**
 * ONNX Runtime with its telemetry off. Everything in the product takes it from here, never from the package
 * itself.
 */
import "./silence.ts";

export * from "onnxruntime-node";
