import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { badInput, OnnxUnlearnError } from "../../converters/errors.ts";
import { exportModel, refuseBadTarget } from "../../converters/export/write.ts";
import { importModel } from "../../converters/import/graph.ts";
import type { ImportOptions } from "../../converters/import/model.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import { loadSets, refuseOverlap, type SetPaths } from "../data/sets.ts";
import { type Evaluation, evaluateFile } from "../evaluate/evaluation.ts";
import { train } from "../unlearn/train.ts";
import type { LedgerEntry, TrainingProgress, UnlearnOptions } from "../unlearn/types.ts";
import { checkParity, type Parity } from "../verify/parity.ts";
import {
  type FileIdentity,
  identify,
  sha256,
  verifyBytes,
  verifyLoads,
  verifyStructure,
} from "../verify/verify.ts";
import { type SetSizes, sizesOf } from "./evaluate.ts";
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

export interface UnlearnRequest extends ImportOptions, SetPaths {
  readonly model: string;
  readonly out: string;
  /** Replace an existing output. */
  readonly force?: boolean;
  readonly allowOverlap?: boolean;
  readonly options?: Partial<UnlearnOptions>;
}

/** What a long run tells while it works. */
export interface UnlearnHooks {
  readonly onPhase?: (phase: string) => void;
  readonly onStep?: (progress: TrainingProgress) => void;
  /** Asks it to stop: INTERRUPTED (exit 130), nothing half-written. */
  readonly signal?: AbortSignal;
}

/** The report: every figure was measured on the two files. */
export interface UnlearnDocument {
  readonly before: Evaluation;
  readonly after: Evaluation;
  readonly budget: {
    /** ε_t per step, log-ratio units of the utility loss. */
    readonly epsilon: number;
    readonly steps: number;
    /** Σ of the measured rises of log L_r over the batches; null for methods that do not measure them. */
    readonly spent: number | null;
    /** λ after the last step. */
    readonly lambda: number;
  };
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
  readonly options: UnlearnOptions;
  readonly versions: Versions;
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
 * The whole road: model file and sets in, verified model file and before/after figures out. The new file is written to a
 * temporary folder, verified and measured there, and only then put in place; a failure leaves nothing behind.
 * @throws OnnxUnlearnError with the exit code of the command line
 */
export async function unlearn(request: UnlearnRequest, hooks: UnlearnHooks = {}): Promise<UnlearnDocument> {
  const started = performance.now();
  const threads = request.options?.threads ?? availableParallelism();
  const options: UnlearnOptions = { ...DEFAULT_OPTIONS, ...request.options, threads };
  const { seed } = options;
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
    const model = importModel(source, request);
    const sets = loadSets(request, model.inputs);
    if (!request.allowOverlap) refuseOverlap(sets.forget, sets.retain);

    phase("measuring the model as it is");
    const before = await evaluateFile(request.model, model, sets, { threads, seed });
    phase("training");
    const trained = await train(model, sets.forget, sets.retain, options, hooks.onStep, hooks.signal);

    phase("exporting and verifying");
    const trial = join(folder, "model.onnx");
    const { changed, changedBytes } = await exportModel(source, trained.weights, trial, {});
    const changedTensors = changed.filter((t) => t.changedElements > 0).map((t) => t.name);
    verifyStructure(source, await verifyLoads(trial), changedTensors);
    const parity = await checkParity(trial, request, sets.forget, threads);
    phase("measuring the new file");
    const after = await evaluateFile(trial, model, sets, { threads, seed });
    phase("putting the new file in place");
    await exportModel(source, trained.weights, out, request.force ? { force: true } : {});
    const written = readFileSync(out);
    verifyBytes(out, written, sha256(readFileSync(trial)));

    const rises = trained.ledger.flatMap(({ batchRise }) => (batchRise === null ? [] : [batchRise]));
    return {
      before,
      after,
      budget: {
        epsilon: options.epsilon,
        steps: trained.steps,
        spent: rises.length ? rises.reduce((sum, rise) => sum + rise, 0) : null,
        lambda: trained.lambda,
      },
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
      options,
      versions: versions(),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
