import "@tensorflow/tfjs-backend-cpu";
import { version_core } from "@tensorflow/tfjs-core";
import { eagerEngine } from "./eager.ts";
import type { Engine } from "./engine.ts";

/** tfjs's JavaScript backend: slow, the reference in tests. */
export const cpuEngine = (): Engine => eagerEngine("cpu", "cpu", `tfjs ${version_core}`);
