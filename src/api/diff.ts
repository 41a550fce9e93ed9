import { compareStructure, type TensorChange } from "../../converters/export/compare.ts";
import { importModel } from "../../converters/import/graph.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import { loadSets, type SetPaths } from "../data/sets.ts";
import { type Evaluation, type Gap, gapTo, METRICS, type Metric } from "../evaluate/evaluation.ts";
import type { FileIdentity } from "../verify/verify.ts";
import { type Measuring, measureFile, type SetSizes, sizesOf } from "./evaluate.ts";
import { type Versions, versions } from "./versions.ts";

export interface DiffRequest extends SetPaths, Measuring {
  readonly before: string;
  readonly after: string;
  /** A model retrained without the forget set: the gold standard (METHOD section 4). */
  readonly reference?: string;
}

/** after − before, fractions; null where either is. */
export type Change = { readonly [M in Metric]: number | null };

/** A reference's own figures, and how far both files are from them. */
export interface Reference {
  readonly model: FileIdentity;
  readonly metrics: Evaluation;
  readonly gap: { readonly before: Gap; readonly after: Gap };
}

export interface DiffDocument {
  readonly before: Evaluation;
  readonly after: Evaluation;
  readonly change: Change;
  readonly reference: Reference | null;
  readonly structure: {
    /** Everything but the values of float weights is the same, byte for byte. */
    readonly identical: boolean;
    readonly differences: readonly string[];
    readonly changedTensors: readonly TensorChange[];
  };
  readonly model: { readonly before: FileIdentity; readonly after: FileIdentity };
  readonly samples: SetSizes;
  readonly versions: Versions;
}

export function changeOf(before: Evaluation, after: Evaluation): Change {
  const change = (metric: Metric) => {
    const [a, b] = [before[metric], after[metric]];
    return a === null || b === null ? null : b - a;
  };
  return Object.fromEntries(METRICS.map((metric) => [metric, change(metric)])) as Change;
}

/**
 * Two model files on the same data in ONNX Runtime: what the scrubbing changed in behaviour and in the file.
 * @throws OnnxUnlearnError with the exit code of the command line
 */
export async function diff(request: DiffRequest): Promise<DiffDocument> {
  const [source, changed] = [loadModelFile(request.before), loadModelFile(request.after)];
  const { inputs } = importModel(source, request);
  const sets = loadSets(request, inputs);
  const before = await measureFile(request.before, sets, request);
  const after = await measureFile(request.after, sets, request);
  const reference =
    request.reference === undefined ? null : await measureFile(request.reference, sets, request);
  const { identicalStructure, differences, changedTensors } = compareStructure(source, changed);
  return {
    before: before.metrics,
    after: after.metrics,
    change: changeOf(before.metrics, after.metrics),
    reference: reference && {
      ...reference,
      gap: {
        before: gapTo(before.metrics, reference.metrics),
        after: gapTo(after.metrics, reference.metrics),
      },
    },
    structure: { identical: identicalStructure, differences, changedTensors },
    model: { before: before.model, after: after.model },
    samples: sizesOf(sets),
    versions: versions(),
  };
}
