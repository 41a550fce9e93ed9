import type { Command } from "commander";
import type { SetInputs } from "../data/sets.ts";
import type { ViewPaths } from "../report/views.ts";
import { accepts, type Kind, kindText } from "../unlearn/option-kind.ts";
import {
  defaultText,
  flagName,
  heededText,
  OPTIONS,
  type OptionName,
  type SpelledOptions,
} from "../unlearn/option-table.ts";
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
export const positiveCount = (text: string): number => positive(String(count(text)));
const list = (text: string): number[] => text.split(",").map(number);
const positiveList = (text: string): number[] => text.split(",").map(positive);
/** For options that may be repeated. */
const collect = (text: string, before: readonly string[] = []): readonly string[] => [...before, text];

/** For options `name=value` that may be repeated. @param form what the error asks for */
const collectBy =
  <T>(read: (value: string) => T, form: string) =>
  (text: string, before: Readonly<Record<string, T>> = {}): Readonly<Record<string, T>> => {
    const at = text.indexOf("=");
    if (at < 1 || at === text.length - 1) throw new InvalidArgumentError(`it must have the form ${form}.`);
    return { ...before, [text.slice(0, at)]: read(text.slice(at + 1)) };
  };
export const collectNamed = collectBy(String, "name=file");

/** The readers above have sentences of their own; any other range is said in the words of the kind. */
function readNumber(kind: Extract<Kind, { readonly is: "number" | "whole" }>, text: string): number | string {
  const value =
    kind.is === "whole"
      ? (kind.minimum === 1 ? positiveCount : count)(text)
      : text === kind.or
        ? text
        : (kind.above === 0 ? positive : number)(text);
  if (!accepts(kind, value)) throw new InvalidArgumentError(`it must be ${kindText(kind)}.`);
  return value;
}

/** The word for a value in --help, where the table has none. */
const PLACEHOLDERS: Readonly<Partial<Record<Kind["is"], string>>> = {
  number: "number",
  whole: "count",
  choice: "name",
  amount: "amount",
};

/** The flag of an option, as the table spells and describes it; `resolveOptions` fills in the default. */
function flagOf(name: OptionName) {
  const { kind, what, value = PLACEHOLDERS[kind.is] ?? kind.is } = OPTIONS[name];
  const [heeded, otherwise] = [heededText(name), defaultText(name)];
  const notes = [
    kind.is === "list" || kind.is === "map" ? " (repeatable)" : "",
    heeded ? ` (only ${heeded})` : "",
    otherwise ? ` (default: ${otherwise})` : "",
  ];
  const flag = `${flagName(name)}${kind.is === "flag" ? "" : ` <${value}>`}`;
  const option = new Option(flag, what + notes.join(""));
  switch (kind.is) {
    case "number":
    case "whole":
      return option.argParser((text) => readNumber(kind, text));
    case "choice":
      return option.choices(kind.of);
    case "list":
      return option.argParser(collect);
    case "map":
      return option.argParser(collectBy<number | string>(kind.of === "number" ? number : String, value));
    default:
      return option;
  }
}

/** Adds the flags of these options. */
export const withOptions = (command: Command, names: readonly OptionName[]): Command =>
  names.reduce((added, name) => added.addOption(flagOf(name)), command);

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

export interface SetFlags extends PreprocessingFlags, SpelledOptions<"flag", "loss"> {
  readonly forget: string;
  readonly retain: string;
  readonly test?: string;
  readonly validation?: string;
}

/** The data files: `.npz` with one array per model input (or `x`) and the truth `y`. */
export const withSets = (command: Command): Command =>
  withOptions(
    withPreprocessing(
      command
        .requiredOption("--forget <file>", "samples to forget (.npz)")
        .requiredOption("--retain <file>", "samples to keep (.npz)")
        .option("--test <file>", "samples the model never saw; only measured, never used to choose")
        .option("--validation <file>", "samples that choices may look at"),
    ),
    ["loss"],
  );

/** Flags of commands that run model files. */
export const MEASURING = ["logits", "threads", "seed"] as const;
export interface MeasuringFlags extends SpelledOptions<"flag", (typeof MEASURING)[number]> {}
export const withMeasuring = (command: Command): Command => withOptions(command, MEASURING);

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
