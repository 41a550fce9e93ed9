export { OnnxUnlearnError } from "../converters/errors.ts";
export { exportModel } from "../converters/export/write.ts";
export { importModel } from "../converters/import/graph.ts";
export { loadModelFile as loadModel, readModel } from "../converters/onnx/read.ts";
export { loadDataset } from "./data/dataset.ts";
export { evaluateFile as evaluate, unlearn } from "./unlearn.ts";
export { verifyStructure as verify } from "./verify/verify.ts";
