import { importModel } from "../../converters/importer.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import { loadSets, type SetPaths, type Sets } from "../data/sets.ts";
import { type Evaluation, evaluateFile, type Gap, gapTo } from "../evaluate/evaluation.ts";
import { type FileIdentity, identify } from "../verify/verify.ts";
import { type Versions, versions } from "./versions.ts";

/** How files are run and read; the same for every command that measures. */
export interface Measuring {
  /** Value name of the logits, where they cannot be found or are ambiguous. */
  readonly logits?: string;
  /** Threads of ONNX Runtime. */
  readonly threads?: number;
  /** Of the membership attack's training subset. */
  readonly seed?: number;
}

export interface EvaluateRequest extends SetPaths, Measuring {
  readonly model: string;
  /** A model retrained without the forget set: the gold standard (METHOD section 4). */
  readonly reference?: string;
}

/** Samples per set; null for a set that was not given. */
export interface SetSizes {
  readonly forget: number;
  readonly retain: number;
  readonly validation: number | null;
  readonly test: number | null;
}

export const sizesOf = (sets: Sets): SetSizes => ({
  forget: sets.forget.count,
  retain: sets.retain.count,
  validation: sets.validation?.count ?? null,
  test: sets.test?.count ?? null,
});

export interface EvaluateDocument {
  readonly model: FileIdentity;
  readonly metrics: Evaluation;
  readonly reference: {
    readonly model: FileIdentity;
    readonly metrics: Evaluation;
    readonly gap: Gap;
  } | null;
  readonly samples: SetSizes;
  readonly versions: Versions;
}

/** Imports a file only to learn how to feed and read it, then measures the file itself. */
export async function measureFile(path: string, sets: Sets, measuring: Measuring) {
  const source = loadModelFile(path);
  const metrics = await evaluateFile(path, importModel(source, measuring), sets, measuring);
  return { model: identify(source.bytes), metrics };
}

/**
 * Accuracy and membership figures of one model file, run in ONNX Runtime; with a reference, the gaps to it.
 * @throws OnnxUnlearnError with the exit code of the command line
 */
export async function evaluate(request: EvaluateRequest): Promise<EvaluateDocument> {
  const { inputs } = importModel(loadModelFile(request.model), request);
  const sets = loadSets(request, inputs);
  const measured = await measureFile(request.model, sets, request);
  const reference =
    request.reference === undefined ? null : await measureFile(request.reference, sets, request);
  return {
    ...measured,
    reference: reference && { ...reference, gap: gapTo(measured.metrics, reference.metrics) },
    samples: sizesOf(sets),
    versions: versions(),
  };
}
