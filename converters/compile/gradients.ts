import { createRequire } from "node:module";

let registered = false;

/**
 * Registers the gradients of all tfjs kernels, which tfjs-layers contains. Loaded only if something is
 * differentiated, and by `require`: an `import` would first make Node search the whole CommonJS file for
 * export names.
 */
export function registerGradients(): void {
  if (!registered) createRequire(import.meta.url)("@tensorflow/tfjs-layers");
  registered = true;
}
