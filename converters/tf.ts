import { createRequire } from "node:module";
import type * as core from "@tensorflow/tfjs-core";

// Required, not imported: it is CommonJS, and before Node imports such a file it searches all of it (1.2 MB) for the
// names it may export, which costs five times what loading it does.
/**
 * tfjs-core (https://js.tensorflow.org/api/latest/): losses and methods of one's own are built of its operators. Take it
 * from here: a second copy of it would not know the kernels and gradients that the engines add.
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
