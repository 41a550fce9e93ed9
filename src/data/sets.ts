import type { OnnxValueInfo } from "../../converters/onnx/model.ts";
import type { LossName } from "../tasks/index.ts";
import { datasetOf, NO_PREPROCESSING, type Preprocessing, pick } from "./dataset.ts";
import { openSource } from "./open-source.ts";
import type { SetInput, Source } from "./source.ts";
import type { Dataset } from "./types.ts";

/** The data of a request; docs/method.md, "The problem", says what each set is. */
export interface SetInputs {
  readonly forget: SetInput;
  readonly retain: SetInput;
  /** Only measured; no choice depends on it. */
  readonly test?: SetInput;
  /** Every choice is made on these samples, such as the learning rate and the state to export. */
  readonly validation?: SetInput;
  /** Further sets by name, measured like the test set. */
  readonly also?: Readonly<Record<string, SetInput>>;
  readonly preprocessing?: Preprocessing;
  /** The utility loss, which decides what `y` holds; cross-entropy, and so classes, by default. */
  readonly loss?: LossName;
}

/** The samples of a case, preprocessed; undefined where a set was not given. */
export interface Sets {
  readonly forget: Dataset;
  readonly retain: Dataset;
  readonly test: Dataset | undefined;
  readonly validation: Dataset | undefined;
  readonly also?: Readonly<Record<string, Dataset>>;
}

/** A value for each set of a request; undefined for sets that were not given. */
export interface SetsOf<T> {
  readonly forget: T;
  readonly retain: T;
  readonly test: T | undefined;
  readonly validation: T | undefined;
  readonly also: Readonly<Record<string, T>>;
}

/** The opened sets of a request. */
export type SetSources = SetsOf<Source>;

/** Converts every set, one after the other; `of` also gets its name for messages. */
export async function mapSets<T, U>(
  { forget, retain, test, validation, also = {} }: Pick<SetsOf<T>, "forget" | "retain"> & Partial<SetsOf<T>>,
  of: (set: T, name: string) => U | Promise<U>,
): Promise<SetsOf<U>> {
  const further: Record<string, U> = {};
  for (const [name, set] of Object.entries(also)) further[name] = await of(set, name);
  return {
    forget: await of(forget, "the forget set"),
    retain: await of(retain, "the retain set"),
    test: test === undefined ? undefined : await of(test, "the test set"),
    validation: validation === undefined ? undefined : await of(validation, "the validation set"),
    also: further,
  };
}

/** Opens every set of a request; this is the only place that does. @throws badInput as {@link openSource} */
export const openSources = (sets: SetInputs): Promise<SetSources> =>
  mapSets<SetInput, Source>(sets, openSource);

/** The samples of a source for these model inputs. @throws badInput as {@link datasetOf} */
export const readSet = async (
  source: Source,
  inputs: readonly OnnxValueInfo[],
  {
    preprocessing = NO_PREPROCESSING,
    loss,
  }: { readonly preprocessing?: Preprocessing; readonly loss?: LossName | "any" },
): Promise<Dataset> =>
  datasetOf(source.name, await source.gather(), inputs, {
    how: preprocessing,
    ...(loss === undefined ? {} : { loss }),
  });

/** Every set of a request for these model inputs. @throws badInput as {@link datasetOf} */
export const readSets = (
  sources: SetSources,
  inputs: readonly OnnxValueInfo[],
  how: Pick<SetInputs, "preprocessing" | "loss">,
): Promise<Sets> => mapSets(sources, (source) => readSet(source, inputs, how));

/** The first `count` samples of a set; all of them if it has fewer. */
export const firstSamples = (set: Dataset, count: number): Dataset =>
  pick(
    set,
    Array.from({ length: Math.min(count, set.count) }, (_, i) => i),
  );
