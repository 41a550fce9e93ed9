import { createRequire } from "node:module";
import type * as core from "@tensorflow/tfjs-core";

// Loaded by `require`: an `import` would first make Node search the whole CommonJS file for export names,
// which takes longer than loading it.
/**
 * tfjs-core (https://js.tensorflow.org/api/latest/), whose operators custom losses and methods are built of.
 * Take it from here: a second copy would lack the kernels and gradients that the engines register.
 */
export const tf: typeof core = createRequire(import.meta.url)("@tensorflow/tfjs-core");

/** @ignore */
export declare namespace tf {
  type Tensor<R extends Rank = Rank> = core.Tensor<R>;
  type Tensor1D = core.Tensor1D;
  type Tensor2D = core.Tensor2D;
  type Tensor3D = core.Tensor3D;
  type Scalar = core.Scalar;
  type Rank = core.Rank;
  type DataType = core.DataType;
  type BackendValues = core.BackendValues;
  type TensorInfo = core.TensorInfo;
  type NamedTensorMap = core.NamedTensorMap;
  type NamedAttrMap = core.NamedAttrMap;
  type GradSaveFunc = core.GradSaveFunc;
}
