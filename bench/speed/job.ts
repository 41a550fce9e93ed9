import type { StepFunction, TensorSpec } from "../../converters/compile/step.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import { importModel } from "../../converters/importer.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import type { NumberArray } from "../../src/engine/engine.ts";
import { objectiveOf } from "../../src/unlearn/chosen.ts";
import { methods } from "../../src/unlearn/methods/index.ts";
import { stateKeys } from "../../src/unlearn/state.ts";
import { startState, wholeBatchStep } from "../../src/unlearn/step.ts";
import type { Method } from "../../src/unlearn/types.ts";
import { mostRetained } from "./batch.ts";
import type { Workload } from "./workloads.ts";

export interface Job {
  readonly model: TrainableModel;
  readonly step: StepFunction;
  readonly carry: Readonly<Record<string, { readonly spec: TensorSpec; readonly data: NumberArray }>>;
  readonly batchSpecs: Readonly<Record<string, TensorSpec>>;
}

/** What the step takes for a batch: the model's input, or what a frozen prefix makes of it. */
function stepShapes(model: TrainableModel, { batch, sample }: Workload): [string, readonly number[]][] {
  const whole = [batch, ...sample];
  if (model.frontier.length === 0) return [["input", whole]];
  const shapes = importModel(model.source).shapes({ input: whole });
  return model.stepInputs.map(({ name }) => [name, shapes.get(name)!]);
}

/** A workload, its model written to `file`, as what an engine needs to run its step. */
export function jobOf(workload: Workload, file: string, name: Method): Job {
  const { train } = workload;
  const whole = importModel(loadModelFile(file), train ? { train } : {});
  const model = train ? whole.cutAtWeights() : whole;
  const parameters = model.parameters.filter(({ trainable }) => trainable);
  const method = methods[name];
  const options = { dual: "adam", beta: 1, optimizer: "sgd", momentum: 0.9, weightDecay: 5e-4 } as const;
  const float = (shape: readonly number[]): TensorSpec => ({ shape, dtype: "float32" });
  const n = workload.batch;
  return {
    model,
    step: wholeBatchStep({
      ...{ method, options, apply: model.apply, objective: objectiveOf(method, {}) },
      trainable: parameters.map((p) => p.name),
      retainRows: mostRetained(n),
    }),
    carry: stateKeys.flat(startState(method, options, parameters)),
    batchSpecs: {
      ...Object.fromEntries(stepShapes(model, workload).map(([key, shape]) => [`x:${key}`, float(shape)])),
      labels: { shape: [n], dtype: "int32" },
      forgetMask: float([n]),
      retainMask: float([n]),
      lr: float([]),
      epsilon: float([]),
      progress: float([]),
    },
  };
}
