import { elementCount } from "../../converters/dims.ts";
import { badInput } from "../../converters/errors.ts";
import { isFloatType } from "../../converters/import/value.ts";
import type { OnnxValueInfo } from "../../converters/onnx/model.ts";
import type { LossName } from "../tasks/index.ts";
import { taskFor, taskOf } from "../tasks/index.ts";
import { concatenated, rowsOf } from "../tasks/numbers.ts";
import { asInt32, truthRows } from "../tasks/truth.ts";
import type { NpyArray } from "./npy.ts";
import { readNpz } from "./npz.ts";
import type { Dataset } from "./types.ts";

/** x' = (x / scale − mean) / std; `mean` and `std` have one value per channel, or one for all. */
export interface Preprocessing {
  readonly scale: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

export const NO_PREPROCESSING: Preprocessing = { scale: 1, mean: [0], std: [1] };

/** Axis of the channels: the last one for rank 2, and for NHWC, recognised by at most 4 channels; else 1. */
const channelAxis = (model: OnnxValueInfo, rank: number): number => {
  if (rank <= 2) return rank - 1;
  const [second, last] = [model.dims?.[1], model.dims?.[rank - 1]];
  const few = (d: unknown) => typeof d === "number" && d <= 4;
  return rank === 4 && few(last) && !few(second) ? rank - 1 : 1;
};

function preprocess(
  array: NpyArray,
  model: OnnxValueInfo,
  how: Preprocessing,
  where: string,
): Float32Array | Int32Array {
  if (model.dtype !== undefined && !isFloatType(model.dtype)) {
    const [whole, bad] = asInt32(array.data);
    if (bad >= 0)
      throw badInput(
        "VALUE_RANGE",
        `${where}: sample ${Math.floor((bad * array.dims[0]!) / whole.length)} holds ${array.data[bad]}, where the model input "${model.name}" takes whole numbers of 32 bits; mend it.`,
      );
    return whole;
  }
  const axis = channelAxis(model, array.dims.length);
  const channels = array.dims[axis]!;
  for (const [name, list] of [
    ["mean", how.mean],
    ["std", how.std],
  ] as const)
    if (list.length !== 1 && list.length !== channels)
      throw badInput(
        "CHANNEL_COUNT",
        `The option ${name} has ${list.length} values but ${where} has ${channels} channels; give one value, or one per channel.`,
      );
  const inner = elementCount(array.dims.slice(axis + 1));
  const [{ data }, { scale }] = [array, how];
  const out = new Float32Array(data.length);
  const of = (list: readonly number[], channel: number) => list[list.length === 1 ? 0 : channel]!;
  for (let start = 0, channel = 0; start < out.length; start += inner, channel = (channel + 1) % channels) {
    const [mean, std] = [of(how.mean, channel), of(how.std, channel)];
    for (let i = start; i < start + inner; i++) out[i] = (data[i]! / scale - mean) / std;
  }
  const beyond = out.findIndex((v) => !Number.isFinite(v));
  if (beyond >= 0)
    throw badInput(
      "NOT_FINITE",
      `${where}: sample ${Math.floor((beyond * array.dims[0]!) / out.length)} holds ${data[beyond]}, which is beyond the range of float32 once scaled; mend it, or choose another scale.`,
    );
  return out;
}

/**
 * Loads one set from an `.npz` file for these model inputs.
 * @throws badInput naming file, sample and remedy
 */
export const loadDataset = async (
  path: string,
  inputs: readonly OnnxValueInfo[],
  how: Preprocessing = NO_PREPROCESSING,
  loss: LossName | "any" = "cross-entropy",
): Promise<Dataset> => datasetOf(path, await readNpz(path), inputs, { how, loss });

/**
 * Makes a set of its arrays: one per model input by name (or `x` where the model has one input), and the
 * truth `y`. It holds integer classes [N] for cross-entropy, 0 and 1 for binary-cross-entropy, numbers for
 * mse (both [N, C] or [N]). The loss `any` accepts each of these, for callers that use the inputs only.
 * @param path name of the set in messages
 * @throws badInput naming set, sample and remedy
 */
export function datasetOf(
  path: string,
  arrays: ReadonlyMap<string, NpyArray>,
  inputs: readonly OnnxValueInfo[],
  {
    how = NO_PREPROCESSING,
    loss = "cross-entropy",
  }: { readonly how?: Preprocessing; readonly loss?: LossName | "any" } = {},
): Dataset {
  const y = arrays.get("y");
  const task = loss === "any" ? taskFor(y) : taskOf(loss);
  const { count, truth } = task.read(path, y, `it has: ${[...arrays.keys()].join(", ")}`);
  const loaded: Record<string, Dataset["inputs"][string]> = {};
  for (const input of inputs) {
    const array = arrays.get(input.name) ?? (inputs.length === 1 ? arrays.get("x") : undefined);
    const where = `${path}: array "${arrays.has(input.name) ? input.name : "x"}"`;
    if (!array)
      throw badInput(
        "INPUT_MISSING",
        `${path} has no array for the model input "${input.name}" (it has: ${[...arrays.keys()].join(", ")}).`,
      );
    if (array.dims[0] !== count)
      throw badInput("LENGTH_MISMATCH", `${where} has ${array.dims[0]} samples but "y" has ${count}.`);
    const wanted = input.dims;
    if (
      wanted &&
      (wanted.length !== array.dims.length ||
        wanted.some((d, i) => i > 0 && typeof d === "number" && d !== array.dims[i]))
    )
      throw badInput(
        "SHAPE_MISMATCH",
        `${where} has shape [${array.dims.join(", ")}] but the model input "${input.name}" wants [${wanted.map((d) => d ?? "?").join(", ")}] (batch first).`,
      );
    const width = array.data.length / count;
    const bad =
      array.kind === "float" ? (array.data as Float32Array).findIndex((v) => !Number.isFinite(v)) : -1;
    if (bad >= 0)
      throw badInput(
        "NOT_FINITE",
        `${where}: sample ${Math.floor(bad / width)} contains NaN or infinity; remove it or mend it.`,
      );
    loaded[input.name] = { data: preprocess(array, input, how, where), dims: array.dims };
  }
  return { path, count, task, truth, inputs: loaded };
}

/** The chosen samples of a set, in the given order. */
export const pick = (set: Dataset, samples: readonly number[], path = set.path): Dataset => ({
  ...set,
  path,
  count: samples.length,
  truth: truthRows(set.truth, samples),
  inputs: inputsOf(set, samples.length, (name) => {
    const { data } = set.inputs[name]!;
    return rowsOf(data, data.length / set.count, samples);
  }),
});

/** Sets with the same inputs and task as one set, in the given order. */
export function join(sets: readonly [Dataset, ...Dataset[]]): Dataset {
  const [first] = sets;
  if (sets.length === 1) return first;
  const count = sets.reduce((sum, set) => sum + set.count, 0);
  return {
    ...first,
    count,
    truth: { ...first.truth, data: concatenated(sets.map(({ truth }) => truth.data)) },
    inputs: inputsOf(first, count, (name) => concatenated(sets.map(({ inputs }) => inputs[name]!.data))),
  };
}

/** A set's inputs with other data, for `count` samples. */
const inputsOf = (
  set: Dataset,
  count: number,
  dataOf: (name: string) => Float32Array | Int32Array,
): Dataset["inputs"] =>
  Object.fromEntries(
    Object.entries(set.inputs).map(([name, { dims }]) => [
      name,
      { data: dataOf(name), dims: dims[0] === set.count ? [count, ...dims.slice(1)] : dims },
    ]),
  );
