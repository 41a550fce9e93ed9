import "@tensorflow/tfjs-backend-cpu";
import { tf } from "../../converters/tf.ts";
import { eagerEngine } from "./eager.ts";
import type { Engine } from "./engine.ts";

/** tfjs's JavaScript backend: slow; the reference in tests. */
export const cpuEngine = (): Engine => eagerEngine("cpu", "cpu", `tfjs ${tf.version_core}`);
