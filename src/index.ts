export { OnnxUnlearnError } from "../converters/errors.ts";
export { exportModel } from "../converters/export/write.ts";
export { importModel } from "../converters/importer.ts";
export { loadModelFile as loadModel, readModel } from "../converters/onnx/read.ts";
export { type DiffDocument, type DiffRequest, diff } from "./api/diff.ts";
export { type EvaluateDocument, type EvaluateRequest, evaluate } from "./api/evaluate.ts";
export { BudgetError, type GuardRequest } from "./api/guard.ts";
export { type RunDocument, runPipeline } from "./api/run.ts";
export { paretoFront, type SweepDocument, type SweepRequest, sweep } from "./api/sweep.ts";
export {
  DEFAULT_OPTIONS,
  type UnlearnDocument,
  type UnlearnHooks,
  type UnlearnRequest,
  unlearn,
} from "./api/unlearn.ts";
export { type VerifyDocument, type VerifyRequest, verify } from "./api/verify.ts";
export { loadDataset } from "./data/dataset.ts";
export { encodeNpz, type NpzInput } from "./data/npz.ts";
