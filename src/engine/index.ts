import type { Engine, EngineName } from "./engine.ts";

const engines: { readonly [E in EngineName]: () => Promise<Engine> } = {
  onnxruntime: async () => (await import("./onnxruntime.ts")).onnxruntimeEngine(),
  tensorflow: async () => (await import("./tensorflow.ts")).tensorflowEngine(),
  cpu: async () => (await import("./cpu.ts")).cpuEngine(),
};

/**
 * An engine by name, loaded on demand.
 * @throws OnnxUnlearnError ENGINE_MISSING (exit 2) if the package it needs is not installed
 */
export const getEngine = (name: EngineName): Promise<Engine> => engines[name]();
