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
  /** Never chooses anything: only measured. */
  readonly test?: SetInput;
  /** What choices may look at. */
  readonly validation?: SetInput;
  /** Further sets by name, measured like the test set. */
  readonly also?: Readonly<Record<string, SetInput>>;
  readonly preprocessing?: Preprocessing;
  /** What `y` holds: classes (undefined), bits, or values. */
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

/** The sets of a request as sources: each file, iterable or array is read here and nowhere else. */
export interface SetSources {
  readonly forget: Source;
  readonly retain: Source;
  readonly test: Source | undefined;
  readonly validation: Source | undefined;
  readonly also: Readonly<Record<string, Source>>;
}

/** Opens every set of a request. @throws badInput as {@link openSource} */
export async function openSources({
  forget,
  retain,
  test,
  validation,
  also = {},
}: SetInputs): Promise<SetSources> {
  const further: Record<string, Source> = {};
  for (const [name, input] of Object.entries(also)) further[name] = await openSource(input, name);
  return {
    forget: await openSource(forget, "the forget set"),
    retain: await openSource(retain, "the retain set"),
    test: test === undefined ? undefined : await openSource(test, "the test set"),
    validation: validation === undefined ? undefined : await openSource(validation, "the validation set"),
    also: further,
  };
}

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
export async function readSets(
  sources: SetSources,
  inputs: readonly OnnxValueInfo[],
  how: Pick<SetInputs, "preprocessing" | "loss">,
): Promise<Sets> {
  const read = (source: Source) => readSet(source, inputs, how);
  const also: Record<string, Dataset> = {};
  for (const [name, source] of Object.entries(sources.also)) also[name] = await read(source);
  return {
    forget: await read(sources.forget),
    retain: await read(sources.retain),
    test: sources.test && (await read(sources.test)),
    validation: sources.validation && (await read(sources.validation)),
    also,
  };
}

/** The first `count` samples of a set; all of them if it has fewer. */
export const firstSamples = (set: Dataset, count: number): Dataset =>
  pick(
    set,
    Array.from({ length: Math.min(count, set.count) }, (_, i) => i),
  );
