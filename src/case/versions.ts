import { createRequire } from "node:module";
import { packageVersion } from "../package.ts";

const require = createRequire(import.meta.url);
const versionOf = (name: string): string =>
  (require(`${name}/package.json`) as { readonly version: string }).version;

/** What a report needs to be reproduced: the same versions, CPU kind and thread count give the same bytes. */
export interface Versions {
  readonly onnxUnlearn: string;
  readonly node: string;
  readonly onnxruntime: string;
  readonly tfjs: string;
  /** Operating system and CPU architecture. */
  readonly platform: string;
}

export const versions = (): Versions => ({
  onnxUnlearn: packageVersion(),
  node: process.versions.node,
  onnxruntime: versionOf("onnxruntime-node"),
  tfjs: versionOf("@tensorflow/tfjs-core"),
  platform: `${process.platform}-${process.arch}`,
});
