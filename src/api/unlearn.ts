import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { badInput, gateFailed, OnnxUnlearnError } from "../../converters/errors.ts";
import { exportModel, refuseBadTarget } from "../../converters/export/write.ts";
import type { ImportOptions, TrainableModel } from "../../converters/import/model.ts";
import { importModel } from "../../converters/importer.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import { loadSets, refuseOverlap, type SetPaths } from "../data/sets.ts";
import type { OperatorTime } from "../engine/profile.ts";
import { answersOf, type Evaluation, evaluationOf, type Gap, gapTo } from "../evaluate/evaluation.ts";
import type { GateReport } from "../gates/judge.ts";
import { behindPrefix, cutFrozen, withPrefixes } from "../prepare/frozen-prefix.ts";
import { type Budget, unitOf } from "../unlearn/budget.ts";
import { methods } from "../unlearn/methods/index.ts";
import { train } from "../unlearn/train.ts";
import type {
  Candidate,
  Goal,
  LedgerEntry,
  LossName,
  TrainingProgress,
  UnlearnOptions,
} from "../unlearn/types.ts";
import type { Check } from "../unlearn/watch.ts";
import { checkParity, type Parity } from "../verify/parity.ts";
import {
  type FileIdentity,
  identify,
  sha256,
  verifyBytes,
  verifyLoads,
  verifyStructure,
} from "../verify/verify.ts";
import { measureFile, type SetSizes, sizesOf } from "./evaluate.ts";
import {
  BudgetError,
  type ClosestMiss,
  checkFile,
  closestMiss,
  type FileCheck,
  type GuardRequest,
  goalFor,
  guardOf,
} from "./guard.ts";
import { type Versions, versions } from "./versions.ts";

export const DEFAULT_OPTIONS: UnlearnOptions = {
  method: "eupmu",
  epsilon: -0.01,
  dual: "adam",
  beta: 1,
  epochs: 5,
  lr: 0.001,
  momentum: 0.9,
  weightDecay: 5e-4,
  batchSize: 128,
  seed: 0,
  engine: "onnxruntime",
};

export interface UnlearnRequest extends ImportOptions, SetPaths, GuardRequest {
  readonly model: string;
  readonly out: string;
  /** Replace an existing output. */
  readonly force?: boolean;
  readonly allowOverlap?: boolean;
  /** A model retrained without the forget set: the gaps to it are reported (METHOD section 5); it chooses nothing. */
  readonly reference?: string;
  readonly options?: Partial<UnlearnOptions>;
}

/** What a long run tells while it works. */
export interface UnlearnHooks {
  readonly onPhase?: (phase: string) => void;
  readonly onStep?: (progress: TrainingProgress) => void;
  /** Asks it to stop: INTERRUPTED (exit 130), nothing half-written. */
  readonly signal?: AbortSignal;
  /**
   * Asked before the new file is put in place; false: it did not pass, so it is put beside `out` as `OUT.rejected` (a folder of that name where its
   * weights lie in files of their own) and `out` stays as it was.
   * @param file the verified new file, for as long as the question lasts
   */
  readonly judge?: (file: string, document: UnlearnDocument) => Promise<boolean>;
  /** Told where the time of a training step goes, operator by operator. */
  readonly onProfile?: (rows: readonly OperatorTime[]) => void;
}

/** The report: every figure was measured on the two files. */
export interface UnlearnDocument {
  readonly before: Evaluation;
  readonly after: Evaluation;
  readonly budget: {
    /** ε_t per step, log-ratio units of the utility loss. */
    readonly epsilon: number;
    readonly steps: number;
    /**
     * Utility the file lost on validation data, in the budget's unit; without a watch the Σ of the measured rises of log L_r over the
     * batches, null for methods that do not measure them.
     */
    readonly spent: number | null;
    /** λ after the last step. */
    readonly lambda: number;
    /** What the file was held to; null where nothing was watched. */
    readonly guard:
      | (FileCheck & {
          readonly total: Budget | null;
          readonly validation: { readonly samples: number; readonly withheld: boolean };
          readonly goal: Goal;
          /** As it was asked for: points, or with a unit. */
          readonly minForgetting: number | string;
          /** The step whose state was exported, and the condition that ended the run early. */
          readonly step: number;
          readonly stoppedBy: string | null;
        })
      | null;
  };
  /** Looks at the watched sets during the run. */
  readonly checks: readonly Check[];
  readonly ledger: readonly LedgerEntry[];
  readonly export: {
    readonly changedTensors: readonly string[];
    readonly changedBytes: number;
    readonly parity: Parity;
  };
  readonly model: { readonly before: FileIdentity; readonly after: FileIdentity };
  readonly samples: SetSizes;
  readonly timing: {
    readonly seconds: number;
    readonly compileSeconds: number;
    readonly steps: number;
    readonly samplesPerSecond: number;
  };
  readonly seed: number;
  readonly threads: number;
  /** As they were used: `lr` is the rate that was found where it was auto, under a budget the first one. */
  readonly options: UnlearnOptions & { readonly lr: number };
  readonly versions: Versions;
  /** The gaps of both files to a retrained model; null without one. */
  readonly reference: {
    readonly model: FileIdentity;
    readonly metrics: Evaluation;
    readonly gap: { readonly before: Gap; readonly after: Gap };
  } | null;
  /** Where the new file lies instead of at the output, as it did not pass its gates. */
  readonly rejected?: string;
  /** With --gates: what the checks on the comparison of both files say. */
  readonly gates?: GateReport;
}

/** A folder beside the output, so that putting a file in place never copies across file systems. */
function trialFolder(out: string): string {
  try {
    return mkdtempSync(join(dirname(out), ".onnx-unlearn-"));
  } catch (error) {
    throw badInput(
      "OUTPUT_FOLDER",
      `The folder ${dirname(out)} cannot be written to (${(error as NodeJS.ErrnoException).code}); choose another --out or change its permissions.`,
    );
  }
}

/**
 * With a budget no other number needs tuning: what was not given is found or follows from the goal. Data that should be gone is driven out by bounded
 * ascent (random labels would teach it wrong answers, now and then the right one). The fast variant weighs the losses themselves: their logarithms
 * magnify the retain gradient by 1/L_r, thousands of times on a model that knows its retained data by heart.
 */
function automatic(
  { budget, options = {} }: UnlearnRequest,
  goal: Goal,
  loss: LossName | undefined,
): Partial<UnlearnOptions> {
  if (budget === undefined) return {};
  const method = options.method ?? "eupmu-fast";
  // A regression has no bounded ascent.
  const bounded =
    loss !== "mse" &&
    options.forgetObjective === undefined &&
    methods[method].choosesObjective &&
    goal === "gone";
  return {
    method,
    // A rate belongs to its optimiser: AdamW's does not depend on the scale of a stranger's inputs and weights.
    ...((options.lr ?? "auto") === "auto" ? { lr: "auto", optimizer: options.optimizer ?? "adamw" } : {}),
    ...(options.epochs === undefined ? { epochs: 10 } : {}),
    ...(bounded ? { forgetObjective: "bounded-ascent" } : {}),
  };
}

/** Where a file goes that did not pass. Side files keep their names, so they need a folder of their own. */
function rejectedPlace(out: string, hasSideFiles: boolean): string {
  const place = `${out}.rejected`;
  if (!hasSideFiles) return place;
  mkdirSync(place, { recursive: true });
  return join(place, basename(out));
}

/** An option that is undefined was not given. */
const given = <T extends object>(options: T): T =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;

const spentText = (spent: number, unit: Budget["unit"]): string =>
  unit === "accuracy"
    ? `${(100 * spent).toFixed(2)} points`
    : `${spent.toPrecision(3)} ${unit === "nats" ? unit : "of squared error"}`;
const forgottenText = ({ forgetAccuracy, forgetLoss }: ClosestMiss): string =>
  Number.isNaN(forgetAccuracy)
    ? `squared error on the forget set ${forgetLoss.toPrecision(3)}`
    : `forget accuracy ${(100 * forgetAccuracy).toFixed(2)} %`;
/** A state that met everything on the running weights failed as a file. */
const missText = (closest: ClosestMiss, unit: Budget["unit"]): string =>
  !closest.within
    ? `lost ${spentText(closest.spent, unit)} of utility`
    : closest.forgets
      ? `did both until its weights were rounded to the types the file stores (${forgottenText(closest)} before that)`
      : `kept to it but forgot too little (${forgottenText(closest)})`;

/** @throws gateFailed ROUNDED_AWAY where training moved weights and the file, in its own coarser types, is the old one */
function refuseRoundedAway(weights: Candidate["weights"], { parameters }: TrainableModel): void {
  const moved = parameters.filter(({ name, data }) =>
    weights.get(name)?.some((value, i) => !Object.is(value, data[i])),
  );
  if (moved.length > 0)
    throw gateFailed(
      "ROUNDED_AWAY",
      `Training moved ${moved.length} tensors, but rounding to the types they are stored in (${[...new Set(moved.map(({ dtype }) => dtype))].join(", ")}) undid all of it, so nothing was forgotten and no model was written; give a larger --lr or more --epochs.`,
    );
}

/**
 * The whole road: model file and sets in, verified model file and before/after figures out. The new file is written to a
 * temporary folder, verified and measured there, and only then put in place; a failure leaves nothing behind.
 * @throws OnnxUnlearnError with the exit code of the command line
 */
export async function unlearn(request: UnlearnRequest, hooks: UnlearnHooks = {}): Promise<UnlearnDocument> {
  const started = performance.now();
  const threads = request.options?.threads ?? availableParallelism();
  const seed = request.options?.seed ?? DEFAULT_OPTIONS.seed;
  const phase = (name: string) => {
    if (hooks.signal?.aborted)
      throw new OnnxUnlearnError("INTERRUPTED", "Interrupted; nothing was written.", 130);
    hooks.onPhase?.(name);
  };
  const out = resolve(request.out);
  const source = loadModelFile(request.model);
  await refuseBadTarget(source, out, request.force);
  // Made before the work: a folder that cannot be written is known at once.
  const folder = trialFolder(out);
  try {
    phase("importing the model and reading the data");
    const whole = importModel(source, request);
    const loss = request.loss ?? request.options?.loss;
    const read = loadSets({ ...request, loss }, whole.inputs);
    if (!request.allowOverlap) {
      refuseOverlap(read.forget, read.retain);
      // What was forgotten earlier is forgotten once more: among the retained it would be taught again.
      for (const [name, limit] of Object.entries(request.limits ?? {}))
        if (limit.trim().startsWith("+") && read.also?.[name]) refuseOverlap(read.also[name], read.retain);
    }
    const test = request.stopWhen?.some((condition) => condition.includes("testAccuracy")) ?? false;
    const { forget, validation, also = {} } = read;
    const looked = [read.retain, validation, ...Object.values(also), test ? read.test : undefined];
    const model = await cutFrozen(whole, request, [forget, ...looked.filter((set) => set !== undefined)]);
    const loaded = await withPrefixes(model, read, { test, threads });
    const options: UnlearnOptions = {
      ...DEFAULT_OPTIONS,
      ...given(request.options ?? {}),
      ...automatic(request, goalFor(request, loaded), loss),
      ...(loss === undefined ? {} : { loss }),
      threads,
    };

    const { watch, ...trainedOn } = guardOf(request, loaded, options);
    const sets = watch ? { ...loaded, validation: watch.validation } : loaded;
    phase("measuring the model as it is");
    const answersBefore = await answersOf(request.model, model, sets, { threads });
    const before = evaluationOf(answersBefore, { threads, seed });
    const reference =
      request.reference === undefined
        ? null
        : await measureFile(request.reference, sets, { logits: request.logits, threads, seed });
    phase("training");
    const trained = await train(
      behindPrefix(model),
      trainedOn.forget,
      trainedOn.retain,
      options,
      hooks.onStep,
      hooks.signal,
      watch,
      hooks.onProfile,
    );

    const trial = join(folder, "model.onnx");
    const attempt = async (candidate: Candidate) => {
      phase("exporting and verifying");
      rmSync(trial, { force: true });
      const { changed, changedBytes } = await exportModel(source, candidate.weights, trial, {});
      const changedTensors = changed.filter((t) => t.changedElements > 0).map((t) => t.name);
      verifyStructure(source, await verifyLoads(trial), changedTensors);
      const parity = await checkParity(trial, request, sets.forget, threads);
      phase("measuring the new file");
      const answers = await answersOf(trial, model, sets, { threads });
      const check = watch && checkFile(watch, answersBefore, answers);
      return { candidate, changedTensors, changedBytes, parity, answers, check };
    };
    const guarded = watch !== undefined && (watch.budget !== undefined || watch.limits.length > 0);
    let found: Awaited<ReturnType<typeof attempt>> | undefined;
    for (const candidate of trained.candidates) {
      const tried = await attempt(candidate);
      // What counts is the file: rounding may have moved it over the line (METHOD section 6).
      if (guarded && !(tried.check?.within && tried.check.forgets)) continue;
      found = tried;
      break;
    }
    if (!found) {
      const closest = closestMiss(trained.checks);
      throw new BudgetError(
        closest
          ? `No state of this run both keeps to the budget and forgets enough (--min-forgetting ${request.minForgetting ?? 1}), so no model was written; the closest, at step ${closest.step}, ${missText(closest, watch?.budget?.unit ?? unitOf(sets.forget))}. Allow a larger budget, more epochs, or another method.`
          : "No state of this run could be measured, so no model was written; lower the learning rate.",
        closest,
        trained.checks,
      );
    }
    const { candidate, changedTensors, changedBytes, parity, check } = found;
    if (changedTensors.length === 0) refuseRoundedAway(candidate.weights, model);
    const after = evaluationOf(found.answers, { threads, seed });
    const written = readFileSync(trial);
    const rises = trained.ledger.flatMap(({ batchRise }) => (batchRise === null ? [] : [batchRise]));
    const document: UnlearnDocument = {
      before,
      after,
      reference: reference && {
        ...reference,
        gap: { before: gapTo(before, reference.metrics), after: gapTo(after, reference.metrics) },
      },
      budget: {
        epsilon: options.epsilon,
        steps: trained.steps,
        spent: check ? check.spent : rises.length ? rises.reduce((sum, rise) => sum + rise, 0) : null,
        lambda: trained.lambda,
        guard:
          watch && check
            ? {
                ...check,
                total: watch.budget ?? null,
                validation: { samples: watch.validation.count, withheld: loaded.validation === undefined },
                goal: watch.goal,
                minForgetting: request.minForgetting ?? 1,
                step: candidate.step,
                stoppedBy: trained.checks.at(-1)?.stop ?? null,
              }
            : null,
      },
      checks: trained.checks,
      ledger: trained.ledger,
      export: { changedTensors, changedBytes, parity },
      model: { before: identify(source.bytes), after: identify(written) },
      samples: sizesOf(sets),
      timing: {
        seconds: (performance.now() - started) / 1000,
        compileSeconds: trained.compileSeconds,
        steps: trained.steps,
        samplesPerSecond: trained.samplesPerSecond,
      },
      seed,
      threads,
      options: { ...options, lr: trained.lr },
      versions: versions(),
    };
    const passed = (await hooks.judge?.(trial, document)) ?? true;
    phase("putting the new file in place");
    const place = passed ? out : rejectedPlace(out, (source.sideFiles?.size ?? 0) > 0);
    await exportModel(source, candidate.weights, place, { force: !passed || request.force === true });
    verifyBytes(place, readFileSync(place), sha256(written));
    return passed ? document : { ...document, rejected: place };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
