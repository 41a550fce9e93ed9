import { badInput } from "../../converters/errors.ts";
import { compareStructure, type TensorChange } from "../../converters/export/compare.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import { importModel } from "../../converters/importer.ts";
import type { OnnxModel } from "../../converters/onnx/model.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import { loadSets, type SetPaths, type Sets } from "../data/sets.ts";
import { loadShadows } from "../data/shadows.ts";
import { columnsOf } from "../evaluate/columns.ts";
import type { Comparison, Figure, ModelAnswers } from "../evaluate/comparison.ts";
import {
  answersOf,
  type Evaluation,
  evaluationOf,
  type Gap,
  gapTo,
  METRICS,
  type Metric,
} from "../evaluate/evaluation.ts";
import { compareAnswers } from "../evaluate/figures.ts";
import { type Latency, measureLatency } from "../evaluate/latency.ts";
import { type Relearning, relearn } from "../evaluate/relearn.ts";
import { type ShownSample, shownSamples } from "../evaluate/samples.ts";
import type { Shadow } from "../evaluate/shadow.ts";
import { type WeightChanges, weightChanges } from "../evaluate/weights.ts";
import { measureGolden } from "../gates/golden.ts";
import { type GateReport, type Golden, judge } from "../gates/judge.ts";
import { type GateSettings, readGates } from "../gates/read.ts";
import { type FileIdentity, identify } from "../verify/verify.ts";
import { type Measuring, type SetSizes, sizesOf } from "./evaluate.ts";
import { type Versions, versions } from "./versions.ts";

export interface DiffRequest extends SetPaths, Measuring {
  readonly before: string;
  readonly after: string;
  /** A model retrained without the forget set: the gold standard (METHOD section 4). */
  readonly reference?: string;
  /** A folder of reference models for LiRA, U-LiRA and RMIA; see {@link loadShadows}. */
  readonly shadow?: string;
  /** Gates, or a file of them: `gates` of the document says which of its checks hold. */
  readonly gates?: string | GateSettings;
  /** Put ids and thumbnails of samples into the document: it then reveals data. */
  readonly showSamples?: boolean;
  /** Count the steps until the forget accuracy is back (METHOD section 5). */
  readonly relearn?: RelearnSettings;
}

export interface RelearnSettings {
  readonly lr?: number;
  readonly batchSize?: number;
  readonly maxSteps?: number;
}

/** Relearning of AFTER and, where there is one, of the reference; the target is BEFORE's forget accuracy. */
export interface RelearnTest {
  readonly target: number;
  readonly lr: number;
  readonly batchSize: number;
  readonly maxSteps: number;
  readonly after: Relearning;
  readonly reference: Relearning | null;
}

/** after − before, fractions; null where either is. */
export type Change = { readonly [M in Metric]: number | null };

/** A reference's own figures, and how far both files are from them. */
export interface Reference {
  readonly model: FileIdentity;
  readonly metrics: Evaluation;
  readonly gap: { readonly before: Gap; readonly after: Gap };
}

/** The four headline figures stand in `before`, `after`, `change`; every metric of the glossary in `figures`. */
export interface DiffDocument extends Comparison {
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
  readonly weights: WeightChanges;
  readonly latency: Latency;
  readonly relearning: RelearnTest | null;
  readonly golden: Golden | null;
  /** Null unless asked for. */
  readonly shown: readonly ShownSample[] | null;
  /** Null without a gates file. */
  readonly gates: GateReport | null;
  readonly model: { readonly before: FileIdentity; readonly after: FileIdentity };
  readonly samples: SetSizes;
  readonly seed: number;
  readonly versions: Versions;
}

export function changeOf(before: Evaluation, after: Evaluation): Change {
  const change = (metric: Metric) => {
    const [a, b] = [before[metric], after[metric]];
    return a === null || b === null ? null : b - a;
  };
  return Object.fromEntries(METRICS.map((metric) => [metric, change(metric)])) as Change;
}

const RELEARN: Required<RelearnSettings> = { lr: 0.01, batchSize: 64, maxSteps: 200 };

/** Reference models' answers on the forget set, then the test set. */
async function shadowsOf(folder: string, sets: Sets, measuring: Measuring): Promise<readonly Shadow[]> {
  const counts = { forget: sets.forget.count, test: sets.test?.count ?? 0 };
  const shadows: Shadow[] = [];
  for (const { file, forget, test, unlearned } of loadShadows(folder, counts)) {
    const model = importModel(loadModelFile(file), measuring);
    const answers = await answersOf(file, model, { ...sets, retain: sets.forget, also: {} }, measuring);
    const confidences = [answers.forget, ...(answers.test ? [answers.test] : [])].map(
      (set) => columnsOf(set).confidence,
    );
    if (confidences.some((column) => !column))
      throw badInput(
        "SHADOWS_INVALID",
        `${file} hands out labels only; a shadow model must give probabilities.`,
      );
    shadows.push({
      confidence: Float64Array.from(confidences.flatMap((column) => [...column!])),
      member: Uint8Array.from([...forget, ...test]),
      unlearned,
    });
  }
  return shadows;
}

async function relearnTest(
  request: DiffRequest,
  models: { readonly after: TrainableModel; readonly reference: TrainableModel | undefined },
  sets: Sets,
  target: number,
): Promise<RelearnTest | null> {
  if (!request.relearn) return null;
  if (sets.forget.targets)
    throw badInput(
      "RELEARN_CLASSES",
      "the relearning test counts steps until an accuracy of classes is back, and these targets are not classes; leave --relearn out.",
    );
  const settings = { ...RELEARN, ...request.relearn };
  const { seed = 0, threads } = request;
  const run = (model: TrainableModel) => relearn(model, sets.forget, { ...settings, target, seed, threads });
  return {
    ...settings,
    target,
    after: await run(models.after),
    reference: models.reference ? await run(models.reference) : null,
  };
}

/** Size of a model with its external data. */
const sizeOf = ({ bytes, sideFiles }: OnnxModel): number =>
  [...(sideFiles?.values() ?? [])].reduce((sum, side) => sum + side.length, bytes.length);

/**
 * Two model files on the same data in ONNX Runtime: what the scrubbing changed in behaviour and in the file.
 * @throws OnnxUnlearnError with the exit code of the command line
 */
export async function diff(request: DiffRequest): Promise<DiffDocument> {
  const { seed = 0, threads } = request;
  // Read first: a mistake in it is known before the work.
  const settings = typeof request.gates === "string" ? readGates(request.gates) : request.gates;
  const open = (path: string) => importModel(loadModelFile(path), request);
  const [before, after] = [open(request.before), open(request.after)];
  const reference = request.reference === undefined ? undefined : open(request.reference);
  const sets = loadSets(request, before.inputs);
  const answers: { before: ModelAnswers; after: ModelAnswers; reference: ModelAnswers | undefined } = {
    before: await answersOf(request.before, before, sets, request),
    after: await answersOf(request.after, after, sets, request),
    reference: reference && (await answersOf(request.reference!, reference, sets, request)),
  };
  const shadows = request.shadow === undefined ? undefined : await shadowsOf(request.shadow, sets, request);
  const comparison = compareAnswers(answers.before, answers.after, answers.reference, {
    seed,
    ...(shadows ? { shadows } : {}),
  });
  const evaluation = (of: "before" | "after" | "reference") =>
    evaluationOf(answers[of]!, { seed, miaEfficacy: comparison.figures.miaEfficacy?.[of] ?? null });
  const metrics = { before: evaluation("before"), after: evaluation("after") };
  const ofReference = reference && evaluation("reference");

  const { identicalStructure, differences, changedTensors } = compareStructure(before.source, after.source);
  const weights = weightChanges(before.parameters, after.parameters);
  const latency = await measureLatency(
    { before: request.before, after: request.after },
    { before, after },
    sets.forget,
    threads,
  );
  const relearning = await relearnTest(
    request,
    { after, reference },
    sets,
    metrics.before.forgetAccuracy ?? Number.NaN,
  );
  const files = { before: request.before, after: request.after };
  const golden =
    settings?.golden === undefined
      ? null
      : await measureGolden(settings.golden, files, { before, after }, request);
  const onlyAfter = (value: number | null): Figure => ({ before: null, after: value });
  const document = {
    before: metrics.before,
    after: metrics.after,
    change: changeOf(metrics.before, metrics.after),
    reference:
      reference && ofReference
        ? {
            model: identify(reference.source.bytes),
            metrics: ofReference,
            gap: { before: gapTo(metrics.before, ofReference), after: gapTo(metrics.after, ofReference) },
          }
        : null,
    ...comparison,
    figures: {
      ...comparison.figures,
      latencyRatio: onlyAfter(latency.ratio),
      latency: { before: latency.before, after: latency.after },
      bytes: { before: sizeOf(before.source), after: sizeOf(after.source) },
      changedTensors: onlyAfter(changedTensors.length),
      relativeChange: {
        ...onlyAfter(weights.relative),
        ...(weights.relative === null ? { reason: "a weight is not a number" } : {}),
      },
      ...(relearning ? { relearnSteps: relearnFigure(relearning) } : {}),
    },
    structure: { identical: identicalStructure, differences, changedTensors },
    weights,
    latency,
    relearning,
    golden,
    shown: request.showSamples ? shownSamples(sets, answers.before, answers.after) : null,
    model: { before: identify(before.source.bytes), after: identify(after.source.bytes) },
    samples: sizesOf(sets),
    seed,
    versions: versions(),
  };
  return { ...document, gates: settings ? judge(document, settings.gates) : null };
}

function relearnFigure({ after, reference, maxSteps }: RelearnTest): Figure {
  return {
    before: 0,
    after: after.steps,
    ...(reference ? { reference: reference.steps } : {}),
    ...(after.steps === null ? { reason: `the forget accuracy was not back after ${maxSteps} steps` } : {}),
  };
}
