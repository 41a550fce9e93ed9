import { createRequire } from "node:module";
import { badInput } from "../../converters/errors.ts";
import { eagerEngine } from "./eager.ts";
import type { Engine } from "./engine.ts";

/** Packages that provide TensorFlow, the GPU build first; package.json lists them as optional peers too. */
export const PACKAGES = ["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"] as const;

/**
 * TensorFlow's kernels through tfjs-node-gpu or tfjs-node. They are optional peer dependencies, as they
 * download libtensorflow when they are installed. Each is looked for beside this package, then in `folder`.
 * @throws OnnxUnlearnError ENGINE_MISSING (exit 2) if neither is installed, ENGINE_BROKEN if it does not load
 */
export async function tensorflowEngine(folder: string = process.cwd()): Promise<Engine> {
  const roots = [createRequire(import.meta.url), createRequire(`${folder}/`)];
  for (const name of PACKAGES) {
    for (const require of roots) {
      let path: string;
      try {
        path = require.resolve(name);
      } catch {
        continue;
      }
      try {
        const loaded = require(path) as { readonly version?: { readonly "tfjs-node"?: string } };
        return eagerEngine(
          "tensorflow",
          "tensorflow",
          `${name} ${loaded.version?.["tfjs-node"] ?? ""}`.trim(),
        );
      } catch (error) {
        const why = error instanceof Error ? error.message.split("\n")[0] : String(error);
        throw badInput(
          "ENGINE_BROKEN",
          `${path} is installed but does not load (${why}); use the engine onnxruntime.`,
        );
      }
    }
  }
  throw badInput(
    "ENGINE_MISSING",
    `The engine tensorflow needs ${PACKAGES[1]} or ${PACKAGES[0]}, and neither is installed ` +
      `(they are optional, for they download libtensorflow): ` +
      `npm install ${PACKAGES[1]}@4.22.0, or use the engine onnxruntime.`,
  );
}
