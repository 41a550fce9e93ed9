import { badInput } from "../../converters/errors.ts";
import type { OnnxValueInfo } from "../../converters/onnx/model.ts";
import type { LossName } from "../tasks/names.ts";
import { findOverlap, loadDataset, NO_PREPROCESSING, type Preprocessing, pick } from "./dataset.ts";
import type { Dataset } from "./types.ts";

/** Paths of the data files of a request; docs/method.md, "The problem", says what each set is. */
export interface SetPaths {
  readonly forget: string;
  readonly retain: string;
  /** Never chooses anything: only measured. */
  readonly test?: string;
  /** What choices may look at. */
  readonly validation?: string;
  /** Further sets by name, measured like the test set. */
  readonly also?: Readonly<Record<string, string>>;
  readonly preprocessing?: Preprocessing;
  /** What `y` holds: classes (undefined), bits, or values. */
  readonly loss?: LossName;
}

export interface Sets {
  readonly forget: Dataset;
  readonly retain: Dataset;
  readonly test: Dataset | undefined;
  readonly validation: Dataset | undefined;
  readonly also?: Readonly<Record<string, Dataset>>;
}

/** Loads every set of a request for these model inputs. @throws badInput as {@link loadDataset} */
export function loadSets(paths: SetPaths, inputs: readonly OnnxValueInfo[]): Sets {
  const load = (path: string) =>
    loadDataset(path, inputs, paths.preprocessing ?? NO_PREPROCESSING, paths.loss);
  return {
    forget: load(paths.forget),
    retain: load(paths.retain),
    test: paths.test === undefined ? undefined : load(paths.test),
    validation: paths.validation === undefined ? undefined : load(paths.validation),
    also: Object.fromEntries(Object.entries(paths.also ?? {}).map(([name, path]) => [name, load(path)])),
  };
}

/** The first `count` samples of a set; all of them if it has fewer. */
export const firstSamples = (set: Dataset, count: number): Dataset =>
  pick(
    set,
    Array.from({ length: Math.min(count, set.count) }, (_, i) => i),
  );

/** @throws badInput OVERLAP where a sample stands in both sets: the two objectives would fight over it */
export function refuseOverlap(forget: Dataset, retain: Dataset): void {
  const [pair] = findOverlap(forget, retain);
  if (pair)
    throw badInput(
      "OVERLAP",
      `Sample ${pair.indexA} of ${forget.path} is also sample ${pair.indexB} of ${retain.path}; remove it from one, or say --allow-overlap.`,
    );
}
