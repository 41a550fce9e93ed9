import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { badInput, OnnxUnlearnError } from "../../converters/errors.ts";
import { removeModel, writeWhole } from "../../converters/export/whole.ts";
import type { TrainableModel } from "../../converters/import/model.ts";
import type { OpenOptions } from "../case/case.ts";
import { claim, inputFiles } from "../case/inputs.ts";
import { measureModel } from "../case/measure.ts";
import { type ModelInput, openReference } from "../case/model.ts";
import { type Case, open } from "../case/open.ts";
import { scrub } from "../case/scrub.ts";
import {
  rejectedPlace,
  type UnlearnDocument,
  type UnlearnHooks,
  type UnlearnSettings,
} from "../case/unlearn.ts";
import { sha256 } from "../case/verification.ts";
import { type Versions, versions } from "../case/versions.ts";
import type { SetInputs } from "../data/sets.ts";
import type { Dataset } from "../data/types.ts";
import { type Evaluation, gapTo } from "../evaluate/evaluation.ts";
import type { GateReport } from "../gates/judge.ts";
import { type GateSettings, readGates } from "../gates/read.ts";
import { taskOf } from "../tasks/index.ts";
import type { Method } from "../unlearn/types.ts";

/** What one run varies; the rest of its options is the same for all. */
export interface Point {
  readonly method: Method;
  /** `--epsilon` or `--budget`, as text. */
  readonly knob: "epsilon" | "budget";
  readonly value: string;
  readonly seed: number;
}

/** How one point is run. */
export interface PointRunner {
  /** Everything that decides the result: a run that is found with the same signature is not run again. */
  readonly signature: (point: Point, out: string) => readonly string[];
  /** Leaves the new model at `out`. @throws OnnxUnlearnError INTERRUPTED (exit 130) to stop the sweep */
  readonly run: (
    point: Point,
    out: string,
  ) => Promise<{ readonly exitCode: number; readonly document: RunOutcome }>;
}

/** The report of a run, or the error that ended it. */
export type RunOutcome = UnlearnDocument | { readonly error: { readonly message: string } };

export interface SweepRequest extends SetInputs, OpenOptions {
  readonly model: ModelInput;
  /** A model retrained without the forget set: only measured, it chooses nothing. */
  readonly reference?: ModelInput;
  /**
   * Where runs, models and the picture go; runs found there with the same signature are not run again. Of
   * another signature they are in the way.
   */
  readonly folder: string;
  /** Replace runs of another signature, and files of others. */
  readonly force?: boolean;
  readonly points: readonly Point[];
  /** Settings of every run, beside what its point varies; heeded by runs in this process. */
  readonly settings?: UnlearnSettings;
  /** Gates that every exported model is held to, or a file of them. */
  readonly gates?: string | GateSettings;
  /** Where runs happen; undefined: one after the other in this process, on the model and data opened once. */
  readonly runner?: PointRunner;
  /** Runs at the same time; default 1. Only a runner of one's own gains by more. */
  readonly jobs?: number;
  /** Told after every run, also of one that was found in the folder. */
  readonly onRun?: (done: number, all: number, run: SweepRun) => void;
  /** Progress of the run under way; heeded by runs in this process. */
  readonly onStep?: UnlearnHooks["onStep"];
  /** Told what an earlier sweep was cut off at. */
  readonly onPhase?: UnlearnHooks["onPhase"];
  readonly signal?: AbortSignal;
}

/** One run: a point of the picture, or why there is none. */
export interface SweepRun extends Point {
  readonly name: string;
  readonly exitCode: number;
  /** Measured on the exported file; null where none was exported. */
  readonly after: Evaluation | null;
  /** Mean distance of the four figures to the reference's. */
  readonly averageGap: number | null;
  readonly seconds: number | null;
  readonly model: string | null;
  readonly error: string | null;
  /** What the gates say of the exported model; null without gates or model. */
  readonly gates: GateReport["verdict"] | null;
  /** No other run forgets more at no less utility. */
  readonly onFront: boolean;
}

/** All runs of a sweep and the Pareto front among them. */
export interface SweepDocument {
  readonly before: Evaluation | null;
  /** Which figure stands for utility: never the test set's, which chooses nothing. */
  readonly utility: "validationAccuracy" | "retainAccuracy";
  readonly runs: readonly SweepRun[];
  /** Names along the front, by falling forget accuracy. */
  readonly front: readonly string[];
  readonly reference: Evaluation | null;
  readonly versions: Versions;
}

/** Every combination, methods outermost. */
export const pointsOf = (
  methods: readonly Method[],
  knob: Point["knob"],
  values: readonly string[],
  seeds: readonly number[],
): Point[] =>
  methods.flatMap((method) =>
    values.flatMap((value) => seeds.map((seed): Point => ({ method, knob, value, seed }))),
  );

export const nameOf = ({ method, knob, value, seed }: Point): string =>
  `${method}_${knob}${value}_seed${seed}`;

/**
 * Indices of the points that no other point dominates: less forget accuracy and more utility are better,
 * equal points stand side by side.
 * @returns by falling forget accuracy
 */
export function paretoFront(
  points: readonly { readonly forget: number; readonly utility: number }[],
): number[] {
  const dominated = (i: number) =>
    points.some(
      ({ forget, utility }) =>
        forget <= points[i]!.forget &&
        utility >= points[i]!.utility &&
        (forget < points[i]!.forget || utility > points[i]!.utility),
    );
  return points
    .map((_, i) => i)
    .filter((i) => !dominated(i))
    .sort((a, b) => points[b]!.forget - points[a]!.forget || points[a]!.utility - points[b]!.utility);
}

/** The record of one run. */
interface RunFile {
  readonly signature: readonly string[];
  /** SHA-256 of the gates: other gates are another question. */
  readonly gates: string | null;
  readonly exitCode: number;
  readonly document: RunOutcome;
}

function readRun(path: string, signature: readonly string[], gates: string | null): RunFile | undefined {
  try {
    const file = JSON.parse(readFileSync(path, "utf8")) as RunFile;
    return file.signature.join("\n") === signature.join("\n") && (file.gates ?? null) === gates
      ? file
      : undefined;
  } catch {
    return undefined;
  }
}

const INTERRUPTED = () =>
  new OnnxUnlearnError("INTERRUPTED", "Interrupted; finished runs are kept, run again.", 130);

/** Runs a point in this process, on the model and the data that are open already. */
function inThisProcess(
  opened: Case,
  { settings = {}, onStep, signal }: SweepRequest,
  reference: TrainableModel | undefined,
  gates: GateSettings | undefined,
): PointRunner {
  const settingsOf = ({ method, knob, value, seed }: Point): UnlearnSettings => ({
    ...settings,
    ...(knob === "budget" ? { budget: value } : {}),
    reference,
    options: {
      ...settings.options,
      method,
      seed,
      ...(knob === "epsilon" ? { epsilon: Number(value) } : {}),
    },
  });
  const { forget, retain, test, validation, also = {} } = opened.sets;
  const data = [forget, retain, test, validation, ...Object.values(also)].map(
    (set) => set && sha256(Buffer.concat(samplesOf(set))),
  );
  return {
    signature: (point) => {
      const { reference: _, ...plain } = settingsOf(point);
      return [sha256(opened.model.source.bytes), JSON.stringify({ ...plain, data })];
    },
    async run(point, out) {
      try {
        const { document } = await scrub(
          opened,
          { settings: settingsOf(point), gates, out, force: true },
          { onStep, signal },
        );
        return { exitCode: document.rejected === undefined ? 0 : 1, document };
      } catch (error) {
        if (!(error instanceof OnnxUnlearnError) || error.code === "INTERRUPTED") throw error;
        return { exitCode: error.exitCode, document: { error: { message: error.message } } };
      }
    },
  };
}

/** The bytes of a set: inputs, then truth. */
const samplesOf = ({ inputs, truth }: Dataset): Uint8Array[] =>
  [...Object.values(inputs).map(({ data }) => data), truth.data].map(
    ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength),
  );

/**
 * Runs every point that has not been run yet, some at a time, and draws the Pareto front from the files they
 * left: stopping and starting again
 * loses at most the runs that were under way.
 * @throws OnnxUnlearnError INTERRUPTED (exit 130); SWEEP_EMPTY where there is nothing to run; what one run
 *   met is in its entry
 */
export async function sweep(request: SweepRequest): Promise<SweepDocument> {
  const { points, folder, jobs = 1, signal } = request;
  if (points.length === 0)
    throw badInput("SWEEP_EMPTY", "there is nothing to run; give at least one method and one value.");
  const runs = join(folder, "runs");
  const models = join(folder, "models");
  // Bad gates and bad data are one sentence here, not one in every run.
  const gates = typeof request.gates === "string" ? readGates(request.gates) : request.gates;
  const gatesDigest =
    request.gates === undefined
      ? null
      : sha256(
          typeof request.gates === "string"
            ? readFileSync(request.gates)
            : Buffer.from(JSON.stringify(request.gates.gates)),
        );
  const { units, noun } = taskOf(request.loss);
  if (!units.includes("accuracy"))
    throw badInput(
      "SWEEP_REGRESSION",
      `a sweep draws accuracies against each other, and ${noun} has none; unlearn it with a budget instead.`,
    );
  const opened = await open(request.model, request, request);
  const retrained = request.reference === undefined ? undefined : openReference(request.reference, request);
  const runner = request.runner ?? inThisProcess(opened, request, retrained, gates);

  const plans = points.map((point) => {
    const path = join(runs, `${nameOf(point)}.json`);
    const out = join(models, `${nameOf(point)}.onnx`);
    const signature = runner.signature(point, out);
    return { path, out, signature, found: readRun(path, signature, gatesDigest) };
  });
  // What is drawn or trained anew in a folder where a sweep has begun is that sweep's.
  const own = existsSync(runs);
  claim(
    {
      inputs: inputFiles({
        models: { "the model": opened.model.source, "the reference": retrained?.source },
        sets: request,
        gates: { given: request.gates, read: gates },
      }),
      outputs: [
        { role: "the sweep", path: join(folder, "sweep.json"), own },
        { role: "the picture of the sweep", path: join(folder, "front.svg"), own },
        ...plans.flatMap(({ path, out, found }, i) => [
          { role: `the run ${nameOf(points[i]!)} (with these options)`, path, own: found !== undefined },
          { role: `the model of ${nameOf(points[i]!)}`, path: out, own },
          { role: `the rejected model of ${nameOf(points[i]!)}`, path: rejectedPlace(out), own },
        ]),
      ],
      force: request.force,
      makes: true,
      model: { out: plans[0]!.out, from: opened.model },
    },
    request.onPhase,
  );
  for (const path of [runs, models])
    try {
      mkdirSync(path, { recursive: true });
    } catch (error) {
      throw badInput(
        "OUTPUT_FOLDER",
        `The folder ${path} cannot be made (${(error as NodeJS.ErrnoException).code}); choose another folder.`,
      );
    }
  const reference = retrained ? (await measureModel(opened, retrained, { seed: 0, signal })).metrics : null;

  const files: RunFile[] = [];
  const describe = (point: Point, { exitCode, document }: RunFile, onFront: boolean): SweepRun => {
    const exported = "after" in document ? document : undefined;
    return {
      ...point,
      name: nameOf(point),
      exitCode,
      after: exported?.after ?? null,
      averageGap: exported && reference ? gapTo(exported.after, reference).average : null,
      seconds: exported?.timing.seconds ?? null,
      model: exported ? (exported.rejected ?? join(models, `${nameOf(point)}.onnx`)) : null,
      error: "error" in document ? document.error.message : null,
      gates: exported?.gates?.verdict ?? null,
      onFront,
    };
  };
  let [next, done] = [0, 0];
  const worker = async (): Promise<void> => {
    while (next < points.length) {
      if (signal?.aborted) throw INTERRUPTED();
      const index = next++;
      const point = points[index]!;
      const { path, out, signature, found } = plans[index]!;
      let file = found;
      if (!file) {
        file = { signature, gates: gatesDigest, ...(await runner.run(point, out)) };
        // A model of an earlier run of this name is not this one's.
        const { after, rejected } = { after: undefined, rejected: undefined, ...file.document };
        if (!after || rejected !== undefined) removeModel(out);
        if (rejected === undefined) removeModel(rejectedPlace(out));
        // Whole or not at all: a run that is cut off is run again.
        writeWhole(path, `${JSON.stringify(file, null, 2)}\n`);
      }
      files[index] = file;
      done++;
      request.onRun?.(done, points.length, describe(point, file, false));
    }
  };
  await Promise.all(Array.from({ length: Math.min(jobs, points.length) }, worker));

  const exported = points.flatMap((_, i) => {
    const { document } = files[i]!;
    return "after" in document ? [{ i, document }] : [];
  });
  const utility =
    exported.length > 0 && exported.every(({ document }) => document.after.validationAccuracy !== null)
      ? "validationAccuracy"
      : "retainAccuracy";
  const front = paretoFront(
    exported.map(({ document: { after } }) => ({ forget: after.forgetAccuracy!, utility: after[utility]! })),
  ).map((k) => exported[k]!.i);
  return {
    before: exported[0]?.document.before ?? null,
    utility,
    runs: points.map((point, i) => describe(point, files[i]!, front.includes(i))),
    front: front.map((i) => nameOf(points[i]!)),
    reference,
    versions: versions(),
  };
}
