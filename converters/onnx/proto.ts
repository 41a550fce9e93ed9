import { createRequire } from "node:module";

/** ONNX's messages as protobufjs classes. Required, not imported, as tfjs is: see ../tf.ts. */
export const { onnx }: typeof import("onnx-proto") = createRequire(import.meta.url)("onnx-proto");
