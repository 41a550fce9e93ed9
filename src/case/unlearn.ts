import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { gateFailed } from "../../converters/errors.ts";
import type { TensorChange } from "../../converters/export/compare.ts";
import { patchModel } from "../../converters/export/patch.ts";
import { type ExportOptions, writeModel } from "../../converters/export/write.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import { readModel } from "../../converters/onnx/read.ts";
import { overlapWarnings, refuseOverlap, refuseOverlaps } from "../data/overlap.ts";
import type { Sets } from "../data/sets.ts";
import type { OperatorTime } from "../engine/profile.ts";
import { type Evaluation, evaluationOf, gapTo } from "../evaluate/evaluation.ts";
import type { GateReport } from "../gates/judge.ts";
import { refuseInterrupted } from "../interrupt.ts";
import { behindPrefix, cutFrozen, withPrefixes } from "../prepare/frozen-prefix.ts";
import { type Budget, unitOf } from "../unlearn/budget.ts";
import { namedOptions } from "../unlearn/chosen.ts";
import { DEFAULT_OPTIONS } from "../unlearn/option-table.ts";
import { resolveOptions } from "../unlearn/options.ts";
import { train } from "../unlearn/train.ts";
import type {
  Goal,
  LedgerEntry,
  NamedOptions,
  Candidate as TrainedState,
  TrainingProgress,
  UnlearnOptions,
  WatchFigures,
} from "../unlearn/types.ts";
import type { Hooks, OpenedCase } from "./case.ts";
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
import { measureModel, type ReferenceGaps, type SetSizes, sizesOf } from "./measure.ts";
import { openModel } from "./model.ts";
import { checkParity, type Parity } from "./parity.ts";
import {
  type FileIdentity,
  identify,
  verifyLoads,
  verifyReadable,
  verifyStructure,
  verifyWritten,
} from "./verification.ts";
import { type Versions, versions } from "./versions.ts";

export { DEFAULT_OPTIONS };

/** How a case is unlearned. */
export interface UnlearnSettings extends GuardRequest {
  /** Accept samples that stand in two sets. */
  readonly allowOverlap?: boolean;
  /** A retrained model: the gaps to it are reported; it chooses nothing. */
  readonly reference?: TrainableModel;
  /** Seed and threads are the case's where they are not given here. */
  readonly options?: Partial<UnlearnOptions>;
}

/** What a long run tells while it works. */
export interface UnlearnHooks extends Hooks {
  /** Told after every training step. */
  readonly onStep?: (progress: TrainingProgress) => void;
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
     * Utility the file lost on validation data, in the budget's unit; without a watch the Σ of the measured
     * rises of log L_r over the
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
  readonly checks: readonly WatchFigures[];
  readonly ledger: readonly LedgerEntry[];
  readonly export: {
    readonly changedTensors: readonly string[];
    readonly changedBytes: number;
    readonly parity: Parity;
  };
  readonly model: { readonly before: FileIdentity; readonly after: FileIdentity };
  readonly samples: SetSizes;
  /** What makes the figures say less than they seem to: samples that stand in two sets. */
  readonly warnings: readonly string[];
  readonly timing: {
    readonly seconds: number;
    readonly compileSeconds: number;
    readonly steps: number;
    readonly samplesPerSecond: number;
  };
  readonly seed: number;
  readonly threads: number;
  /** As they were used: `lr` is the rate that was found where it was auto, under a budget the first one. */
  readonly options: NamedOptions & { readonly lr: number };
  readonly versions: Versions;
  /** The gaps of both files to a retrained model; null without one. */
  readonly reference: ReferenceGaps | null;
  /** Where the new file lies instead of at the output, as it did not pass its gates. */
  readonly rejected?: string;
  /** Where gates were given: what their checks on the comparison of both files say. */
  readonly gates?: GateReport;
}

/** Where a candidate was put. */
export interface Placed {
  readonly path: string;
  /** Names of its side files, relative to its folder: changed ones have a name of their content. */
  readonly sideFiles: readonly string[];
}

/**
 * A new model that is verified and measured, and not yet anywhere: put it in place, put it aside, or drop it.
 */
export interface Candidate {
  /** Imported from the new bytes. */
  readonly model: TrainableModel;
  readonly bytes: Uint8Array;
  /** External data: location as the model spells it → the whole file; empty where there is none. */
  readonly sideFiles: ReadonlyMap<string, Uint8Array>;
  readonly changes: readonly TensorChange[];
  readonly document: UnlearnDocument;
  /**
   * Writes it to `out`, whole or not at all.
   * @throws badInput OUTPUT_IS_INPUT, OUTPUT_EXISTS (without `force`), OUTPUT_FOLDER, OUTPUT_FAILED
   */
  commit(out: string, options?: { readonly force?: boolean }): Promise<Placed>;
  /** Writes it to `OUT.rejected`; what stands at `out` stays. @throws as `commit` */
  reject(out: string, options?: { readonly force?: boolean }): Promise<Placed>;
}

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

/**
 * @throws gateFailed ROUNDED_AWAY where training moved weights and the file, in its own coarser types, is the
 *   old one
 */
function refuseRoundedAway(weights: TrainedState["weights"], { parameters }: TrainableModel): void {
  const moved = parameters.filter(({ name, data }) =>
    weights.get(name)?.some((value, i) => !Object.is(value, data[i])),
  );
  if (moved.length > 0)
    throw gateFailed(
      "ROUNDED_AWAY",
      `Training moved ${moved.length} tensors, but rounding to the types they are stored in (${[...new Set(moved.map(({ dtype }) => dtype))].join(", ")}) undid all of it, so nothing was forgotten and no model was written; give a larger learning rate or more epochs.`,
    );
}

/** Where a file goes that did not pass. */
export const rejectedPlace = (out: string): string => `${out}.rejected`;

/** The options a run under these settings takes; see `resolveOptions`. */
export function resolveSettings(
  { options: given, sets }: OpenedCase,
  settings: UnlearnSettings,
): UnlearnOptions {
  const { loss, seed } = given;
  const options = resolveOptions(
    { ...settings, loss, options: { ...(seed === undefined ? {} : { seed }), ...settings.options } },
    goalFor(settings, sets),
  );
  return { ...options, threads: options.threads ?? given.threads ?? availableParallelism() };
}

/** @throws badInput OVERLAP */
function checkOverlaps({ sets }: OpenedCase, { allowOverlap, limits = {} }: UnlearnSettings): void {
  if (allowOverlap) return;
  refuseOverlaps(sets);
  // What was forgotten earlier is forgotten once more: among the retained it would be taught again.
  for (const [name, limit] of Object.entries(limits))
    if (limit.trim().startsWith("+") && sets.also?.[name]) refuseOverlap(sets.also[name], sets.retain);
}

/**
 * The model and the sets as training takes them: what stands before the first trained weight is computed
 * once.
 */
async function prepare({ model: whole, sets }: OpenedCase, settings: UnlearnSettings, threads: number) {
  const test = settings.stopWhen?.some((condition) => condition.includes("testAccuracy")) ?? false;
  const { forget, retain, validation, also = {} } = sets;
  const looked = [retain, validation, ...Object.values(also), test ? sets.test : undefined];
  const model = await cutFrozen(whole, [forget, ...looked.filter((set) => set !== undefined)]);
  return { model, sets: await withPrefixes(model, sets, { test, threads }) };
}

/** A trained state as a file: patched into the original bytes, verified and measured from them. */
async function exportState(
  opened: OpenedCase,
  { weights }: TrainedState,
  measured: Sets,
  threads: number,
  phase: (name: string) => void,
) {
  const { source } = opened.model;
  phase("exporting and verifying");
  const patched = patchModel(source, weights);
  const written = verifyReadable(() => readModel(patched.bytes, undefined, patched.sideFiles));
  const changedTensors = patched.changed.filter((t) => t.changedElements > 0).map((t) => t.name);
  await verifyLoads(written);
  const changes = verifyStructure(source, written, changedTensors);
  const model = openModel(written, opened.options);
  phase("measuring the new file");
  const answers = await opened.answers(model, measured);
  const parity = await checkParity(
    model,
    opened.options,
    measured.forget,
    threads,
    answers.forget.outputs.raw,
  );
  return { patched, model, changedTensors, changes, answers, parity };
}

/** @see Case.unlearn */
export async function unlearnCase(
  opened: OpenedCase,
  settings: UnlearnSettings,
  hooks: UnlearnHooks,
): Promise<Candidate> {
  const started = performance.now();
  const phase = (name: string) => {
    refuseInterrupted(hooks.signal);
    hooks.onPhase?.(name);
  };
  phase("preparing the training");
  checkOverlaps(opened, settings);
  const options = resolveSettings(opened, settings);
  const { seed, threads = 1 } = options;
  const prepared = await prepare(opened, settings, threads);
  const { watch, ...trainedOn } = guardOf(settings, prepared.sets, options);
  // Withheld samples are a set of their own, of which the files are asked too.
  const withheld = opened.sets.validation === undefined ? watch?.validation : undefined;
  const measured: Sets = withheld ? { ...opened.sets, validation: withheld } : opened.sets;

  phase("measuring the model as it is");
  const answersBefore = await opened.answers(opened.model, measured, hooks.signal);
  const before = evaluationOf(answersBefore, { seed });
  const reference =
    settings.reference &&
    (await measureModel(opened, settings.reference, { sets: measured, seed, signal: hooks.signal }));

  phase("training");
  const trained = await train({ model: behindPrefix(prepared.model), ...trainedOn, options, watch, hooks });

  const guarded = watch !== undefined && (watch.budget !== undefined || watch.limits.length > 0);
  const attempt = async (state: TrainedState) => {
    const exported = await exportState(opened, state, measured, threads, phase);
    return { ...exported, state, check: watch && checkFile(watch, answersBefore, exported.answers) };
  };
  let found: Awaited<ReturnType<typeof attempt>> | undefined;
  for (const state of trained.candidates) {
    const tried = await attempt(state);
    // What counts is the file: rounding may have moved it over the line (docs/method.md, "Budgets").
    if (guarded && !(tried.check?.within && tried.check.forgets)) continue;
    found = tried;
    break;
  }
  if (!found) {
    const closest = closestMiss(trained.checks);
    throw new BudgetError(
      closest
        ? `No state of this run both keeps to the budget and forgets enough (at least ${settings.minForgetting ?? 1}), so no model was written; the closest, at step ${closest.step}, ${missText(closest, watch?.budget?.unit ?? unitOf(opened.sets.forget))}. Allow a larger budget, more epochs, or another method.`
        : "No state of this run could be measured, so no model was written; lower the learning rate.",
      closest,
      trained.checks,
    );
  }
  const { state, patched, model, changedTensors, changes, parity, check } = found;
  if (changedTensors.length === 0) refuseRoundedAway(state.weights, opened.model);
  const after = evaluationOf(found.answers, { seed });
  const rises = trained.ledger.flatMap(({ batchRise }) => (batchRise === null ? [] : [batchRise]));
  const document: UnlearnDocument = {
    before,
    after,
    reference: reference
      ? {
          ...reference,
          gap: { before: gapTo(before, reference.metrics), after: gapTo(after, reference.metrics) },
        }
      : null,
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
              validation: { samples: watch.validation.count, withheld: withheld !== undefined },
              goal: watch.goal,
              minForgetting: settings.minForgetting ?? 1,
              step: state.step,
              stoppedBy: trained.checks.at(-1)?.stop ?? null,
            }
          : null,
    },
    checks: trained.checks,
    ledger: trained.ledger,
    export: { changedTensors, changedBytes: patched.changedBytes, parity },
    model: { before: identify(opened.model.source), after: identify(patched) },
    samples: sizesOf(measured),
    warnings: overlapWarnings(opened.sets),
    timing: {
      seconds: (performance.now() - started) / 1000,
      compileSeconds: trained.compileSeconds,
      steps: trained.steps,
      samplesPerSecond: trained.samplesPerSecond,
    },
    seed,
    threads,
    options: { ...namedOptions(options), lr: trained.lr },
    versions: versions(),
  };
  const put = async (path: string, options?: ExportOptions): Promise<Placed> => {
    await writeModel(opened.model.source, patched, path, options);
    verifyWritten(path, document.model.after);
    return { path, sideFiles: [...patched.sideFiles.keys()] };
  };
  return {
    model,
    bytes: patched.bytes,
    sideFiles: patched.sideFiles,
    changes,
    document,
    commit: (out, options) => put(resolve(out), options),
    reject: (out, options) => put(rejectedPlace(resolve(out)), options),
  };
}
