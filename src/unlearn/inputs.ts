import type { TensorSpec } from "../../converters/compile/step.ts";
import { badInput } from "../../converters/errors.ts";
import type { OnnxValueInfo } from "../../converters/onnx/model.ts";
import type { Dataset } from "../data/types.ts";

/** One model input, for a single sample. */
export interface InputShape {
  readonly name: string;
  readonly shape: readonly number[];
  readonly size: number;
  readonly dtype: "float32" | "int32";
}

/** Shape of one sample, however the data set states it. */
function sampleShape(dataset: Dataset, name: string, rank: number | undefined): readonly number[] {
  const input = dataset.inputs[name];
  if (!input)
    throw badInput("INPUT_MISSING", `${dataset.path} has no values for the model input "${name}"; add them.`);
  const { data, dims } = input;
  const whole =
    rank === undefined
      ? dims[0] === dataset.count && dims.reduce((a, b) => a * b, 1) === data.length
      : dims.length === rank;
  const shape = whole ? dims.slice(1) : dims;
  if (shape.reduce((a, b) => a * b, 1) * dataset.count !== data.length)
    throw badInput(
      "INPUT_SHAPE",
      `${dataset.path}: input "${name}" holds ${data.length} values, which is not ${dataset.count} samples of shape [${shape}]; mend its shape.`,
    );
  return shape;
}

/** The model's inputs as the sets give them. @throws badInput INPUT_MISSING, INPUT_SHAPE where two sets disagree */
export const inputShapes = (
  inputs: readonly OnnxValueInfo[],
  sets: readonly [Dataset, ...Dataset[]],
): InputShape[] =>
  inputs.map(({ name, dims }) => {
    const [first] = sets;
    const shape = sampleShape(first, name, dims?.length);
    for (const other of sets)
      if (sampleShape(other, name, dims?.length).join() !== shape.join())
        throw badInput(
          "INPUT_SHAPE",
          `${first.path} and ${other.path} disagree on the shape of input "${name}"; give both the same.`,
        );
    return {
      name,
      shape,
      size: shape.reduce((a, b) => a * b, 1),
      dtype: first.inputs[name]!.data instanceof Int32Array ? "int32" : "float32",
    };
  });

/** Batch specs of the inputs, under `x:<name>`. */
export const inputSpecs = (inputs: readonly InputShape[], rows: number): Record<string, TensorSpec> =>
  Object.fromEntries(
    inputs.map(({ name, shape, dtype }) => [`x:${name}`, { shape: [rows, ...shape], dtype }]),
  );
