import type { Command } from "commander";
import type { SetInputs } from "../data/sets.ts";
import type { ViewPaths } from "../report/views.ts";
import { LOSSES, type LossName } from "../unlearn/types.ts";
import { InvalidArgumentError, Option } from "./commander.ts";

export const number = (text: string): number => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("it must be a number.");
  return value;
};
/** A whole number of at least 0. */
export const count = (text: string): number => {
  const value = number(text);
  if (!Number.isInteger(value) || value < 0)
    throw new InvalidArgumentError("it must be a whole number of at least 0.");
  return value;
};
export const positive = (text: string): number => {
  const value = number(text);
  if (value <= 0) throw new InvalidArgumentError("it must be greater than 0.");
  return value;
};
/** A learning rate, or `auto`. */
export const rate = (text: string): number | "auto" => (text === "auto" ? text : positive(text));
export const positiveCount = (text: string): number => positive(String(count(text)));
const list = (text: string): number[] => text.split(",").map(number);
const positiveList = (text: string): number[] => text.split(",").map(positive);
/** For options that may be repeated. */
export const collect = (text: string, before: string[]): string[] => [...before, text];

/** For `name=value` options that may be repeated. */
export const collectNamed = (
  text: string,
  before: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> => {
  const at = text.indexOf("=");
  if (at < 1 || at === text.length - 1) throw new InvalidArgumentError("it must have the form name=file.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
};

/** `name=number`, for options that may be repeated. */
export function setting(text: string, before: Readonly<Record<string, number>>): Record<string, number> {
  const [, name, value] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined || value === undefined)
    throw new InvalidArgumentError("it must have the form name=number.");
  return { ...before, [name]: number(value) };
}

export interface PreprocessingFlags {
  readonly scale: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Flags of every command that reads data. */
export const withPreprocessing = (command: Command): Command =>
  command
    .option("--scale <number>", "x' = (x / scale − mean) / std", positive, 1)
    .option("--mean <list>", "per channel, or one value", list, [0])
    .option("--std <list>", "per channel, or one value", positiveList, [1]);

export interface SetFlags extends PreprocessingFlags {
  readonly forget: string;
  readonly retain: string;
  readonly test?: string;
  readonly validation?: string;
  readonly loss?: LossName;
}

/** The data files: `.npz` with one array per model input (or `x`) and the truth `y`. */
export const withSets = (command: Command): Command =>
  withPreprocessing(
    command
      .requiredOption("--forget <file>", "samples to forget (.npz)")
      .requiredOption("--retain <file>", "samples to keep (.npz)")
      .option("--test <file>", "samples the model never saw; only measured, never used to choose")
      .option("--validation <file>", "samples that choices may look at")
      .addOption(
        new Option(
          "--loss <name>",
          'the utility loss, and so what "y" holds: classes, bits or values',
        ).choices(LOSSES),
      ),
  );

/** Flags of commands that run model files. */
export const withMeasuring = (command: Command): Command =>
  command
    .option("--logits <name>", "value name of the logits")
    .option("--threads <count>", "threads of ONNX Runtime", positiveCount)
    .option("--seed <count>", "seed of every draw", count, 0);

export interface ViewFlags extends ViewPaths {
  readonly gates?: string;
  readonly showSamples?: boolean;
}

/** Flags of commands that compare two files and judge the result. */
export const withViews = (command: Command): Command =>
  command
    .option("--gates <file>", "checks that must hold (YAML); exit 1 where one does not")
    .option("--html <file>", "write a report to look at, one self-contained file")
    .option("--markdown <file>", "write a summary for a pull request")
    .option("--junit <file>", "write the gates as JUnit test cases")
    .option("--show-samples", "put ids and thumbnails of samples into the reports; they then reveal data");

export const setPaths = (flags: SetFlags): SetInputs => ({
  forget: flags.forget,
  retain: flags.retain,
  test: flags.test,
  validation: flags.validation,
  loss: flags.loss,
  preprocessing: { scale: flags.scale, mean: flags.mean, std: flags.std },
});
