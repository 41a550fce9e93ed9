import { createHash } from "node:crypto";
import { badInput } from "../../converters/errors.ts";
import { isFloatType } from "../../converters/import/value.ts";
import type { OnnxValueInfo } from "../../converters/onnx/model.ts";
import type { LossName } from "../unlearn/types.ts";
import { type NpyArray, readNpz } from "./npz.ts";
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
    const [whole, bad] = int32(array);
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
    ["--mean", how.mean],
    ["--std", how.std],
  ] as const)
    if (list.length !== 1 && list.length !== channels)
      throw badInput(
        "CHANNEL_COUNT",
        `${name} has ${list.length} values but ${where} has ${channels} channels; give one value, or one per channel.`,
      );
  const inner = array.dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const [{ data }, { scale }] = [array, how];
  const out = new Float32Array(data.length);
  const of = (list: readonly number[], channel: number) => list[list.length === 1 ? 0 : channel]!;
  for (let start = 0, channel = 0; start < out.length; start += inner, channel = (channel + 1) % channels) {
    const [mean, std] = [of(how.mean, channel), of(how.std, channel)];
    for (let i = start; i < start + inner; i++) out[i] = (data[i]! / scale - mean) / std;
  }
  return out;
}

/** An array as 32-bit integers, and the first place where that is not what it holds, or -1. */
function int32({ data }: NpyArray): readonly [Int32Array<ArrayBuffer>, number] {
  const whole = Int32Array.from(data);
  return [whole, whole.findIndex((value, i) => value !== data[i])];
}

/** What `y` holds, by the loss: one class per sample; bits or values, `[N, C]` or `[N]`. */
function truthOf(
  path: string,
  y: NpyArray | undefined,
  names: Iterable<string>,
  wanted: LossName | "any",
): Pick<Dataset, "labels" | "targets" | "count"> {
  const loss =
    wanted !== "any" ? wanted : y && y.kind === "integer" && y.dims.length === 1 ? "cross-entropy" : "mse";
  const classes = loss === "cross-entropy";
  const has = `it has: ${[...names].join(", ")}`;
  if (classes && (!y || (y.kind !== "integer" && y.dims.length < 2)))
    throw badInput(
      "LABELS_MISSING",
      `${path} has no integer array "y" of labels (${has}); add one label per sample, or say what else "y" is with --loss binary-cross-entropy or --loss mse.`,
    );
  if (!y) throw badInput("LABELS_MISSING", `${path} has no array "y" of targets (${has}); add it.`);
  const count = y.dims[0] ?? 0;
  if (count === 0) throw badInput("SET_EMPTY", `${path} holds no samples; give at least one.`);
  const width = y.data.length / count;
  if (classes && width !== 1)
    throw badInput(
      "LABELS_SHAPE",
      `${path}: "y" has shape [${y.dims.join(", ")}], ${width} numbers per sample, where --loss cross-entropy takes one class; say --loss binary-cross-entropy for several labels per sample, --loss mse for a regression.`,
    );
  if (classes) {
    const [labels, bad] = int32(y);
    const wrong = bad >= 0 ? bad : labels.findIndex((label) => label < 0);
    if (wrong >= 0)
      throw badInput(
        "LABEL_RANGE",
        `${path}: sample ${wrong} has label ${y.data[wrong]}; classes are whole numbers from 0, mend the labels.`,
      );
    return { count, labels };
  }
  const bits = loss === "binary-cross-entropy";
  const bad = (y.data as Float32Array).findIndex((v) => (bits ? v !== 0 && v !== 1 : !Number.isFinite(v)));
  if (bad >= 0)
    throw badInput(
      "TARGET_RANGE",
      `${path}: sample ${Math.floor(bad / width)} has the target ${y.data[bad]}; ${bits ? "a label is 0 or 1" : "a target is a number"}, mend "y".`,
    );
  return {
    count,
    labels: new Int32Array(0),
    targets: { kind: bits ? "multi-label" : "regression", data: Float32Array.from(y.data), width },
  };
}

/** Loads one set from an `.npz` file for these model inputs. @throws badInput naming file, sample and remedy */
export const loadDataset = (
  path: string,
  inputs: readonly OnnxValueInfo[],
  how: Preprocessing = NO_PREPROCESSING,
  loss: LossName | "any" = "cross-entropy",
): Dataset => datasetOf(path, readNpz(path), inputs, { how, loss });

/**
 * One set out of its arrays: an array per model input by name (or `x` for the only input) and the truth `y`: integer classes [N]; with the
 * loss binary-cross-entropy bits, with mse any numbers, [N, C] or [N]. `any` takes whatever is there, for those that need the inputs alone.
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
  const truth = truthOf(path, arrays.get("y"), arrays.keys(), loss);
  const { count } = truth;
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
  return { path, inputs: loaded, ...truth };
}

const fingerprint = (set: Dataset, index: number): string => {
  const hash = createHash("sha256");
  for (const [name, { data, dims }] of Object.entries(set.inputs)) {
    const width = dims.slice(1).reduce((a, b) => a * b, 1);
    const part = data.subarray(index * width, (index + 1) * width);
    hash.update(name).update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  }
  return hash.digest("base64");
};

/** Pairs of exactly equal samples (inputs only; labels do not matter). */
export function findOverlap(a: Dataset, b: Dataset): { indexA: number; indexB: number }[] {
  const seen = new Map(Array.from({ length: a.count }, (_, i) => [fingerprint(a, i), i] as const));
  const pairs: { indexA: number; indexB: number }[] = [];
  for (let i = 0; i < b.count; i++) {
    const match = seen.get(fingerprint(b, i));
    if (match !== undefined) pairs.push({ indexA: match, indexB: i });
  }
  return pairs;
}
