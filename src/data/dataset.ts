import { elementCount } from "../../converters/dims.ts";
import { badInput } from "../../converters/errors.ts";
import { isFloatType } from "../../converters/import/value.ts";
import type { OnnxValueInfo } from "../../converters/onnx/model.ts";
import type { LossName } from "../tasks/index.ts";
import { taskFor, taskOf } from "../tasks/index.ts";
import { asInt32, emptyLike, rowsOf, truthRows } from "../tasks/truth.ts";
import type { NpyArray } from "./npy.ts";
import { readNpz } from "./npz.ts";
import type { Dataset } from "./types.ts";

/** x' = (x / scale − mean) / std per channel; one value stands for all channels. */
export interface Preprocessing {
  readonly scale: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

export const NO_PREPROCESSING: Preprocessing = { scale: 1, mean: [0], std: [1] };

/** 1 for NCHW, last for NHWC and for rank 2. */
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
 * One set out of its arrays: an array per model input by name (or `x` for the only input) and the truth `y`:
 * integer classes [N]; with the loss binary-cross-entropy bits, with mse any numbers, [N, C] or [N]. `any`
 * takes
 * whatever is there, where only the inputs matter.
 * @param path what messages call the set
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

/** Some samples of a set, in the given order. */
export const pick = (set: Dataset, samples: readonly number[], path = set.path): Dataset => ({
  ...set,
  path,
  count: samples.length,
  truth: truthRows(set.truth, samples),
  inputs: Object.fromEntries(
    Object.entries(set.inputs).map(([name, { data, dims }]) => [
      name,
      {
        data: rowsOf(data, data.length / set.count, samples),
        dims: dims[0] === set.count ? [samples.length, ...dims.slice(1)] : dims,
      },
    ]),
  ),
});

/** Several sets of the same kind as one, in the given order. */
export function join(sets: readonly [Dataset, ...Dataset[]]): Dataset {
  const [first, ...more] = sets;
  if (more.length === 0) return first;
  const count = sets.reduce((sum, set) => sum + set.count, 0);
  const rows = <T extends Float32Array | Int32Array>(parts: readonly [T, ...T[]]): T => {
    const out = emptyLike(
      parts[0],
      parts.reduce((sum, part) => sum + part.length, 0),
    );
    let at = 0;
    for (const part of parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  };
  const joined = <T extends Float32Array | Int32Array>(of: (set: Dataset) => T) =>
    rows([of(first), ...more.map(of)]);
  return {
    ...first,
    count,
    truth: { ...first.truth, data: joined(({ truth }) => truth.data) },
    inputs: Object.fromEntries(
      Object.entries(first.inputs).map(([name, { dims }]) => [
        name,
        {
          data: joined(({ inputs }) => inputs[name]!.data),
          dims: dims[0] === first.count ? [count, ...dims.slice(1)] : dims,
        },
      ]),
    ),
  };
}
