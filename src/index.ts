/**
 * Unlearning for shipped ONNX models: {@link open} a model with its data, {@link Case.unlearn} it,
 * {@link compare} both files, {@link judge} the comparison, and {@link Candidate.commit} or
 * {@link Candidate.reject} the result. {@link unlearn}, {@link evaluate}, {@link diff}, {@link verify},
 * {@link sweep} and {@link runPipeline} combine these steps as the command line does.
 * @packageDocumentation
 */

export type { Tensors } from "../converters/compile/step.ts";
export { type ErrorCode, type ExitCode, OnnxUnlearnError } from "../converters/errors.ts";
export type { Refusal } from "../converters/examine.ts";
export type { TensorChange } from "../converters/export/compare.ts";
export type { ChangedTensor, PatchResult } from "../converters/export/patch.ts";
export { type ExportOptions, exportModel } from "../converters/export/write.ts";
export type {
  Batching,
  Head,
  ImportOptions,
  Parameter,
  TensorType,
  TrainableModel,
} from "../converters/import/model.ts";
export { importModel } from "../converters/importer.ts";
export type {
  AttributeValue,
  DataType,
  OnnxFunction,
  OnnxGraph,
  OnnxModel,
  OnnxNode,
  OnnxTensor,
  OnnxValueInfo,
  TensorData,
} from "../converters/onnx/model.ts";
export { loadModelFile as loadModel, readModel } from "../converters/onnx/read.ts";
export { tf } from "../converters/tf.ts";
export type { Hooks, OpenedCase, OpenOptions } from "./case/case.ts";
export {
  type Change,
  type CompareOptions,
  type Comparison,
  compare,
  type DiffDocument,
  type RelearnSettings,
  type RelearnTest,
} from "./case/compare.ts";
export { type DiffRequest, diff } from "./case/diff.ts";
export { type EvaluateDocument, type EvaluateRequest, evaluate } from "./case/evaluate.ts";
export { BudgetError, type ClosestMiss, type FileCheck, type GuardRequest } from "./case/guard.ts";
export { type InspectDocument, inspect, type UnreadableDocument } from "./case/inspect.ts";
export { judge, type Verdict } from "./case/judge.ts";
export type { Measured, ReferenceGaps, SetSizes } from "./case/measure.ts";
export { type ModelInput, openModel } from "./case/model.ts";
export { type Case, open } from "./case/open.ts";
export type { Parity } from "./case/parity.ts";
export {
  type Candidate,
  DEFAULT_OPTIONS,
  type Placed,
  type UnlearnDocument,
  type UnlearnHooks,
  type UnlearnSettings,
} from "./case/unlearn.ts";
export type { FileIdentity } from "./case/verification.ts";
export type { Versions } from "./case/versions.ts";
export { loadDataset, type Preprocessing } from "./data/dataset.ts";
export type { NpyArray } from "./data/npy.ts";
export { encodeNpz, type NpzInput } from "./data/npz.ts";
export { openSource } from "./data/open-source.ts";
export type { SetInputs, Sets } from "./data/sets.ts";
export { loadShadows, type ShadowModel } from "./data/shadows.ts";
export type { Column, InputArray, InputArrays, SetInput, Source } from "./data/source.ts";
export type { Dataset } from "./data/types.ts";
export type { EngineName } from "./engine/engine.ts";
export type { OperatorTime } from "./engine/profile.ts";
export type { Interval } from "./evaluate/bootstrap.ts";
export type { ClassFigure, Curves, Figure, Figures, Leak, ModelAnswers } from "./evaluate/comparison.ts";
export type { Evaluation, Gap, Metric } from "./evaluate/evaluation.ts";
export type { MetricName, SetMetric, SetName } from "./evaluate/glossary.ts";
export type { Latency } from "./evaluate/latency.ts";
export type { FileInterface } from "./evaluate/predict.ts";
export type { Relearning } from "./evaluate/relearn.ts";
export type { ShownSample } from "./evaluate/samples.ts";
export type { Scored } from "./evaluate/scored.ts";
export type { WeightChange, WeightChanges } from "./evaluate/weights.ts";
export type { CheckStatus, GateCheck, GateReport, Golden } from "./gates/judge.ts";
export { type GateSettings, readGates } from "./gates/read.ts";
export type { Gates, WrittenGates } from "./gates/schema.ts";
export type { ReceiptCheck } from "./release/check-receipt.ts";
export { type RunDocument, runPipeline } from "./release/run.ts";
export { type UnlearnRequest, unlearn } from "./release/unlearn.ts";
export { type VerifyDocument, type VerifyRequest, verify } from "./release/verify.ts";
export {
  type Point,
  type PointRunner,
  paretoFront,
  pointsOf,
  type RunOutcome,
  type SweepDocument,
  type SweepRequest,
  type SweepRun,
  sweep,
} from "./sweep/sweep.ts";
export type {
  BudgetUnit,
  ClassReading,
  Column as SampleColumn,
  Columns,
  Direction,
  Draw,
  ForgetObjective,
  Labelled,
  MetricEntry,
  Outputs,
  PairColumns,
  PerSample,
  Task,
  Truth,
  TruthArray,
  Unit,
} from "./tasks/task.ts";
export type { Budget } from "./unlearn/budget.ts";
export type {
  Combined,
  DualVariable,
  MethodDefinition,
  Setting,
  SideLosses,
  StepLoss,
  StepValues,
} from "./unlearn/methods/method.ts";
export type { Weights } from "./unlearn/optimizer.ts";
export type { GuardOptions, OptionValues } from "./unlearn/option-table.ts";
export type { DualOptions } from "./unlearn/surgery.ts";
export type {
  Goal,
  LedgerEntry,
  LossName,
  Method,
  NamedOptions,
  TrainingProgress,
  UnlearnOptions,
  WatchFigures,
} from "./unlearn/types.ts";
