import type { Engine, EngineName } from "./engine.ts";

const engines: { readonly [E in EngineName]: () => Promise<Engine> } = {
  onnxruntime: async () => (await import("./onnxruntime.ts")).onnxruntimeEngine(),
  tensorflow: async () => (await import("./tensorflow.ts")).tensorflowEngine(),
  cpu: async () => (await import("./cpu.ts")).cpuEngine(),
};

/**
 * An engine by name, loaded on demand.
 * @throws OnnxUnlearnError ENGINE_MISSING or ENGINE_BROKEN (exit 2) if its package is not installed or does
 * not load
 */
export const getEngine = (name: EngineName): Promise<Engine> => engines[name]();
