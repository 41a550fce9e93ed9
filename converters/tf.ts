import { createRequire } from "node:module";
import type * as core from "@tensorflow/tfjs-core";

// Loaded by `require`: before an `import`, Node would search the whole CommonJS file for the names it may
// export, which takes longer than loading it.
/**
 * tfjs-core (https://js.tensorflow.org/api/latest/): losses and methods of one's own are built of its
 * operators. Take it from here: a second copy of it would not know the kernels and gradients that the engines
 * add.
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
