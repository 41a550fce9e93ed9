import { badInput } from "../../converters/errors.ts";
import { compareStructure, type TensorChange } from "../../converters/export/compare.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import type { OnnxModel } from "../../converters/onnx/model.ts";
import { overlapWarnings } from "../data/overlap.ts";
import type { ShadowModel } from "../data/shadows.ts";
import type { SetInput } from "../data/source.ts";
import { columnsOf } from "../evaluate/columns.ts";
import type { Comparison as Behaviour, Figure, ModelAnswers } from "../evaluate/comparison.ts";
import {
  answersOf,
  type Evaluation,
  evaluationOf,
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
import type { GateReport, Golden } from "../gates/judge.ts";
import { refuseInterrupted } from "../interrupt.ts";
import type { Hooks, OpenedCase } from "./case.ts";
import { type ReferenceGaps, type SetSizes, sizesOf } from "./measure.ts";
import { openReference } from "./model.ts";
import { type FileIdentity, identify } from "./verification.ts";
import { type Versions, versions } from "./versions.ts";

/** What a comparison measures beside both files on their sets. */
export interface CompareOptions {
  /** A model retrained without the forget set: the gold standard (docs/method.md, "Baselines"). */
  readonly reference?: TrainableModel;
  /** Reference models for LiRA, U-LiRA and RMIA; see `loadShadows`. */
  readonly shadows?: readonly ShadowModel[];
  /** Samples whose outputs a gate holds AFTER to. */
  readonly golden?: SetInput;
  /** Put ids and thumbnails of samples into the comparison: it then reveals data. */
  readonly showSamples?: boolean;
  /** Count the steps until the forget accuracy is back (docs/method.md, "How unlearning is judged"). */
  readonly relearn?: RelearnSettings;
  /** Of attacks and intervals; default: the case's. */
  readonly seed?: number;
}

/** SGD on the forget set alone; default: learning rate 0.01, batches of 64, at most 200 steps. */
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

/**
 * Two model files on the same data. The four headline figures stand in `before`, `after`, `change`; every
 * metric of the glossary in `figures`.
 */
export interface Comparison extends Behaviour {
  readonly before: Evaluation;
  readonly after: Evaluation;
  readonly change: Change;
  readonly reference: ReferenceGaps | null;
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
  readonly model: { readonly before: FileIdentity; readonly after: FileIdentity };
  readonly samples: SetSizes;
  /** What makes the figures say less than they seem to: samples that stand in two sets. */
  readonly warnings: readonly string[];
  readonly seed: number;
  readonly versions: Versions;
}

/** A comparison and what its gates say. */
export interface DiffDocument extends Comparison {
  /** Null without gates. */
  readonly gates: GateReport | null;
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
async function shadowsOf(
  models: readonly ShadowModel[],
  { sets, options }: OpenedCase,
  signal: AbortSignal | undefined,
): Promise<readonly Shadow[]> {
  const shadows: Shadow[] = [];
  const { forget: asked, test: unseen } = sets;
  for (const { file, forget, test, unlearned } of models) {
    const answers = await answersOf(
      openReference(file, options),
      { forget: asked, retain: asked, test: unseen, validation: undefined },
      { threads: options.threads, signal },
    );
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
  { sets, options }: OpenedCase,
  models: { readonly after: TrainableModel; readonly reference: TrainableModel | undefined },
  {
    target,
    seed,
    settings: asked,
  }: { readonly target: number; readonly seed: number; readonly settings: RelearnSettings },
): Promise<RelearnTest> {
  if (!sets.forget.task.classes)
    throw badInput(
      "RELEARN_CLASSES",
      "the relearning test counts steps until an accuracy of classes is back, and these targets are not classes; leave it out.",
    );
  const settings = { ...RELEARN, ...asked };
  const { threads } = options;
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
 * What AFTER does differently from the shipped model of a case: behaviour on its sets, measured in ONNX
 * Runtime, and the file.
 * @throws OnnxUnlearnError with the exit code of the command line
 */
export async function compare(
  opened: OpenedCase,
  after: TrainableModel,
  options: CompareOptions = {},
  { signal }: Hooks = {},
): Promise<Comparison> {
  const { model: before, sets } = opened;
  const { reference, seed = opened.options.seed ?? 0 } = options;
  const answers: { before: ModelAnswers; after: ModelAnswers; reference: ModelAnswers | undefined } = {
    before: await opened.answers(before, sets, signal),
    after: await opened.answers(after, sets, signal),
    reference: reference && (await opened.answers(reference, sets, signal)),
  };
  const shadows = options.shadows && (await shadowsOf(options.shadows, opened, signal));
  const behaviour = compareAnswers(answers.before, answers.after, answers.reference, {
    seed,
    ...(shadows ? { shadows } : {}),
  });
  const evaluation = (of: "before" | "after" | "reference") =>
    evaluationOf(answers[of]!, { seed, miaEfficacy: behaviour.figures.miaEfficacy?.[of] ?? null });
  const metrics = { before: evaluation("before"), after: evaluation("after") };
  const ofReference = reference && evaluation("reference");

  const { identicalStructure, differences, changedTensors } = compareStructure(before.source, after.source);
  const weights = weightChanges(before.parameters, after.parameters);
  refuseInterrupted(signal);
  const latency = await measureLatency({ before, after }, sets.forget, opened.options.threads);
  const relearning = options.relearn
    ? await relearnTest(
        opened,
        { after, reference },
        { target: metrics.before.forgetAccuracy ?? Number.NaN, seed, settings: options.relearn },
      )
    : null;
  refuseInterrupted(signal);
  const { preprocessing, threads } = opened.options;
  const golden = options.golden
    ? await measureGolden(options.golden, { before, after }, { preprocessing, threads, signal })
    : null;
  const onlyAfter = (value: number | null): Figure => ({ before: null, after: value });
  return {
    before: metrics.before,
    after: metrics.after,
    change: changeOf(metrics.before, metrics.after),
    reference:
      reference && ofReference
        ? {
            model: identify(reference.source),
            metrics: ofReference,
            gap: { before: gapTo(metrics.before, ofReference), after: gapTo(metrics.after, ofReference) },
          }
        : null,
    ...behaviour,
    figures: {
      ...behaviour.figures,
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
    shown: options.showSamples ? shownSamples(sets, answers) : null,
    model: { before: identify(before.source), after: identify(after.source) },
    samples: sizesOf(sets),
    warnings: overlapWarnings(sets),
    seed,
    versions: versions(),
  };
}

function relearnFigure({ after, reference, maxSteps }: RelearnTest): Figure {
  return {
    before: 0,
    after: after.steps,
    ...(reference ? { reference: reference.steps } : {}),
    ...(after.steps === null ? { reason: `the forget accuracy was not back after ${maxSteps} steps` } : {}),
  };
}
