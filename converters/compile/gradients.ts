import { createRequire } from "node:module";

let registered = false;

/**
 * Registers the gradients of all tfjs kernels, which come with tfjs-layers. Where nothing is differentiated they are not
 * needed; and required, not imported, as Node would first search 1.4 MB for names that nobody asks for.
 */
export function registerGradients(): void {
  if (!registered) createRequire(import.meta.url)("@tensorflow/tfjs-layers");
  registered = true;
}
