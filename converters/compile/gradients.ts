import { createRequire } from "node:module";

let registered = false;

/**
 * Registers the gradients of all tfjs kernels, which come with tfjs-layers. Loaded only when something is
 * differentiated, and by `require`: before an `import`, Node would search the whole CommonJS file for the
 * names it may export.
 */
export function registerGradients(): void {
  if (!registered) createRequire(import.meta.url)("@tensorflow/tfjs-layers");
  registered = true;
}
