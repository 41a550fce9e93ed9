import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Claim, claimOutputs, modelFiles, type NamedFile } from "../../converters/export/outputs.ts";
import { refuseOtherData, undoUnfinished } from "../../converters/export/whole.ts";
import { payloadSites } from "../../converters/graph/payloads.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import type { OnnxModel } from "../../converters/onnx/model.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import type { SetInputs } from "../data/sets.ts";
import type { GateSettings } from "../gates/read.ts";

/** What a command reads, as far as it lies in files; values in memory are left out. */
export interface InputFiles {
  /** Models by what the user calls them. */
  readonly models: Readonly<Record<string, OnnxModel | undefined>>;
  readonly sets: Pick<SetInputs, "forget" | "retain" | "test" | "validation" | "also">;
  /** Folder of shadow models. */
  readonly shadow?: string | undefined;
  /** The gates as they were given, and as they were read. */
  readonly gates?: { readonly given: unknown; readonly read: GateSettings | undefined };
  /** Other files by what the user calls them. */
  readonly others?: Readonly<Record<string, string | undefined>>;
}

/** The files of a folder and of those in it, or the file itself. */
function filesIn(path: string): readonly string[] {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [path];
  return readdirSync(path, { recursive: true, encoding: "utf8" }).map((name) => join(path, name));
}

/** A folder of shadow models: all that is in it, and what its list names elsewhere. */
function shadowFiles(folder: string): readonly string[] {
  const inside = filesIn(folder);
  const named: string[] = [];
  try {
    for (const { file, members } of JSON.parse(readFileSync(join(folder, "shadows.json"), "utf8")).models) {
      const model = join(folder, file);
      named.push(model, join(folder, members));
      if (!inside.includes(model))
        named.push(...modelFiles("", loadModelFile(model)).map(({ path }) => path));
    }
  } catch {
    // What is wrong with it is said where it is read.
  }
  return [...inside, ...named];
}

/** Every file that a command reads, with what an error calls it. */
export function inputFiles({ models, sets, shadow, gates, others = {} }: InputFiles): readonly NamedFile[] {
  const { forget, retain, test, validation, also = {} } = sets;
  const single: Readonly<Record<string, unknown>> = {
    "the forget set": forget,
    "the retained set": retain,
    "the test set": test,
    "the validation set": validation,
    ...Object.fromEntries(Object.entries(also).map(([name, set]) => [`the set "${name}"`, set])),
    "the gates": gates?.given,
    "the golden samples": gates?.read?.golden,
    ...others,
  };
  return [
    ...Object.entries(models).flatMap(([role, model]) => (model ? modelFiles(role, model) : [])),
    ...Object.entries(single).flatMap(([role, path]) =>
      typeof path === "string" ? filesIn(path).map((each) => ({ role, path: each })) : [],
    ),
    ...(shadow === undefined ? [] : shadowFiles(shadow)).map((path) => ({ role: "a shadow model", path })),
  ];
}

/**
 * What a command asks before any work: whether its outputs may be written. First, what an earlier one was cut off
 * at in the same folders is undone and said.
 * @param from the model that will be written at `out`: its external data come with it
 * @throws as {@link claimOutputs}
 */
export function claim(
  claim: Claim & { readonly model?: { readonly out: string; readonly from: TrainableModel } },
  tell: (sentence: string) => void = () => {},
): void {
  const { model, inputs, outputs } = claim;
  undoUnfinished(
    [...inputs, ...outputs].map(({ path }) => dirname(path)),
    tell,
  );
  if (!model) {
    claimOutputs(claim);
    return;
  }
  const { source, parameters } = model.from;
  const beside = modelFiles("the new model", { ...source, path: model.out }).slice(1);
  claimOutputs({ ...claim, inputs: [...inputs, ...beside] });
  const trained = new Set(parameters.filter(({ trainable }) => trainable).map(({ name }) => name));
  const unchanged = new Map(source.sideFiles);
  for (const { key, external } of payloadSites(source.bytes))
    if (external && trained.has(key)) unchanged.delete(external.location);
  refuseOtherData(model.out, unchanged);
}
