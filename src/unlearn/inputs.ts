import type { TensorSpec } from "../../converters/compile/step.ts";
import { elementCount } from "../../converters/dims.ts";
import { badInput } from "../../converters/errors.ts";
import type { Column } from "../data/batcher.ts";
import type { Dataset } from "../data/types.ts";
import type { GraphInput } from "./model.ts";
import { inputKeys } from "./state.ts";

/** One model input, for a single sample. */
export interface InputShape {
  readonly name: string;
  readonly shape: readonly number[];
  readonly size: number;
  readonly dtype: "float32" | "int32";
}

/** Shape of one sample; the data set's `dims` may be that or the shape of all samples. */
function sampleShape(dataset: Dataset, name: string, rank: number | undefined): readonly number[] {
  const input = dataset.inputs[name];
  if (!input)
    throw badInput("INPUT_MISSING", `${dataset.path} has no values for the model input "${name}"; add them.`);
  const { data, dims } = input;
  const whole =
    rank === undefined
      ? dims[0] === dataset.count && elementCount(dims) === data.length
      : dims.length === rank;
  const shape = whole ? dims.slice(1) : dims;
  if (elementCount(shape) * dataset.count !== data.length)
    throw badInput(
      "INPUT_SHAPE",
      `${dataset.path}: input "${name}" holds ${data.length} values, which is not ${dataset.count} samples of shape [${shape}]; mend its shape.`,
    );
  return shape;
}

/**
 * Shape and type of the model's inputs in these sets.
 * @throws badInput INPUT_MISSING; INPUT_SHAPE where data and shape disagree, or two sets do
 */
export const inputShapes = (
  inputs: readonly GraphInput[],
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
      size: elementCount(shape),
      dtype: first.inputs[name]!.data instanceof Int32Array ? "int32" : "float32",
    };
  });

/** Specs of the inputs in a batch of `rows` samples, under their keys in the batch. */
export const inputSpecs = (inputs: readonly InputShape[], rows: number): Record<string, TensorSpec> =>
  inputKeys.flat(
    Object.fromEntries(inputs.map(({ name, shape, dtype }) => [name, { shape: [rows, ...shape], dtype }])),
  );

/** A set's input data, under their keys in the batch. */
export const inputColumns = (inputs: readonly InputShape[], set: Dataset): Record<string, Column> =>
  inputKeys.flat(
    Object.fromEntries(inputs.map(({ name, size }) => [name, { data: set.inputs[name]!.data, width: size }])),
  );
