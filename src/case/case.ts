import { badInput } from "../../converters/errors.ts";
import type { ImportOptions, TrainableModel } from "../../converters/import/model.ts";
import { requireFinite } from "../../converters/import/parameters.ts";
import { everySample } from "../data/batcher.ts";
import { readSets, type SetInputs, type SetSources, type Sets } from "../data/sets.ts";
import type { Dataset } from "../data/types.ts";
import type { ModelAnswers } from "../evaluate/comparison.ts";
import { answersOf, type KnownAnswers } from "../evaluate/evaluation.ts";
import type { FileInterface } from "../evaluate/predict.ts";
import type { Outputs } from "../tasks/task.ts";
import { type ModelInput, openModel } from "./model.ts";

/** What a long call tells while it works, and how it is asked to stop. */
export interface Hooks {
  /** Told in a few words what begins now. */
  readonly onPhase?: (phase: string) => void;
  /** Asks the call to stop: INTERRUPTED (exit 130), nothing half-written. */
  readonly signal?: AbortSignal;
}

/** How a model is imported and files are run; the same for every step of a case. */
export interface OpenOptions extends ImportOptions, Pick<SetInputs, "preprocessing" | "loss"> {
  /** Threads of ONNX Runtime; undefined: as many as it takes by itself, in training one per processor. */
  readonly threads?: number;
  /** Of every draw: batches, attacks, intervals. Default 0. */
  readonly seed?: number;
}

/**
 * A shipped model and its data, opened once: the model imported, the sets read, answers computed when first
 * asked for.
 */
export interface OpenedCase {
  readonly model: TrainableModel;
  readonly sets: Sets;
  readonly options: OpenOptions;
  /**
   * Answers of a model file on the sets of this case (or on others), run in ONNX Runtime; each set is asked
   * once per model.
   * @throws badInput ANSWERS_NOT_FINITE (the shipped model), LABEL_RANGE, TARGETS_SHAPE, HEAD_LOSS, RUNTIME_REFUSED; INTERRUPTED
   */
  answers(model: FileInterface, sets?: Sets, signal?: AbortSignal): Promise<ModelAnswers>;
}

/** How many samples a message names. */
const NAMED = 5;

/**
 * An infinite logit is no answer; −∞ rules a class out.
 * @throws badInput ANSWERS_NOT_FINITE naming the samples
 */
function requireNumbers({ path, task }: Dataset, { count, raw }: Outputs): void {
  const isNumber = task.classes ? (v: number) => v < Number.POSITIVE_INFINITY : Number.isFinite;
  const units = raw.length / count;
  const broken = [...everySample(count)].filter(
    (i) => !raw.subarray(i * units, (i + 1) * units).every((v) => isNumber(v)),
  );
  if (broken.length === 0) return;
  const more = broken.length > NAMED ? ` and ${broken.length - NAMED} more` : "";
  throw badInput(
    "ANSWERS_NOT_FINITE",
    `The model as shipped answers with NaN or infinity on ${broken.length} of ${count} samples of ${path} (${broken.slice(0, NAMED).join(", ")}${more}); remove these samples, or mend the model.`,
  );
}

/** Opens a model with sources that are open already. @throws as `open` */
export async function openSourced(
  input: ModelInput,
  sources: SetSources,
  options: OpenOptions,
): Promise<OpenedCase> {
  const model = openModel(input, options);
  requireFinite(model.parameters);
  const sets = await readSets(sources, model.inputs, options);
  const known = new WeakMap<FileInterface, KnownAnswers>();
  return {
    model,
    sets,
    options,
    async answers(of, asked = sets, signal) {
      const answers = known.get(of) ?? new Map();
      known.set(of, answers);
      const all = await answersOf(of, asked, { threads: options.threads, signal }, answers);
      if (of === model) for (const [set, { outputs }] of answers) requireNumbers(set, outputs);
      return all;
    },
  };
}
