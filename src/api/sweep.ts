import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { badInput, OnnxUnlearnError } from "../../converters/errors.ts";
import { importModel } from "../../converters/importer.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import { loadSets, type SetPaths } from "../data/sets.ts";
import { type Evaluation, gapTo } from "../evaluate/evaluation.ts";
import type { GateReport } from "../gates/judge.ts";
import { readGates } from "../gates/read.ts";
import type { Method } from "../unlearn/types.ts";
import { sha256 } from "../verify/verify.ts";
import { measureFile } from "./evaluate.ts";
import type { UnlearnDocument } from "./unlearn.ts";
import { type Versions, versions } from "./versions.ts";

/** What one run varies; the rest of its options is the same for all. */
export interface Point {
  readonly method: Method;
  /** `--epsilon` or `--budget`, as text. */
  readonly knob: "epsilon" | "budget";
  readonly value: string;
  readonly seed: number;
}

export interface SweepRequest extends SetPaths {
  readonly model: string;
  /** A model retrained without the forget set: only measured, it chooses nothing. */
  readonly reference?: string;
  /** Where runs, models and the picture go; runs found there with the same options are not run again. */
  readonly folder: string;
  readonly points: readonly Point[];
  /** Runs at the same time, each with its own threads. */
  readonly jobs: number;
  readonly threads: number;
  /** A gates file that every exported model is held to. */
  readonly gates?: string;
  /** Further options of `onnx-unlearn unlearn` for every run. */
  readonly options: readonly string[];
  /** Runs `onnx-unlearn` with these arguments in a process of its own. */
  readonly run: (argv: readonly string[]) => Promise<{ readonly code: number; readonly stdout: string }>;
  readonly onRun?: (done: number, all: number, run: SweepRun) => void;
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
 * Indices of the points that no other point dominates: less forget accuracy and more utility are better, equal points stand side by side.
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

/** What one run leaves behind: its arguments and what it printed. */
interface RunFile {
  readonly argv: readonly string[];
  /** SHA-256 of the gates file: other gates are another question. */
  readonly gates: string | null;
  readonly exitCode: number;
  readonly document: UnlearnDocument | { readonly error: { readonly message: string } };
}

function readRun(path: string, argv: readonly string[], gates: string | null): RunFile | undefined {
  try {
    const file = JSON.parse(readFileSync(path, "utf8")) as RunFile;
    return file.argv.join("\n") === argv.join("\n") && (file.gates ?? null) === gates ? file : undefined;
  } catch {
    return undefined;
  }
}

function runArguments(request: SweepRequest, point: Point, out: string): string[] {
  const { model, forget, retain, test, validation, also, preprocessing, threads, options } = request;
  const given = Object.entries({ model, forget, retain, test, validation }).flatMap(([name, path]) =>
    path === undefined ? [] : [`--${name}`, path],
  );
  const scaling = preprocessing
    ? [
        `--scale=${preprocessing.scale}`,
        `--mean=${preprocessing.mean.join(",")}`,
        `--std=${preprocessing.std.join(",")}`,
      ]
    : [];
  return [
    "unlearn",
    ...given,
    ...Object.entries(also ?? {}).flatMap(([name, path]) => ["--also", `${name}=${path}`]),
    ...scaling,
    ...(request.loss === undefined ? [] : ["--loss", request.loss]),
    ...["--method", point.method, `--${point.knob}=${point.value}`, "--seed", `${point.seed}`],
    ...(request.gates === undefined ? [] : ["--gates", request.gates]),
    ...["--threads", `${threads}`, ...options, "--out", out, "--force", "--json"],
  ];
}

/**
 * Runs every point that has not been run yet, some at a time, and draws the Pareto front from the files they left: stopping and starting again
 * loses at most the runs that were under way.
 * @throws OnnxUnlearnError INTERRUPTED (exit 130); SWEEP_EMPTY where there is nothing to run; what one run met is in its entry
 */
export async function sweep(request: SweepRequest): Promise<SweepDocument> {
  const { points, folder, jobs, signal } = request;
  if (points.length === 0)
    throw badInput("SWEEP_EMPTY", "there is nothing to run; give at least one method and one value.");
  const runs = join(folder, "runs");
  const models = join(folder, "models");
  for (const path of [runs, models])
    try {
      mkdirSync(path, { recursive: true });
    } catch (error) {
      throw badInput(
        "OUTPUT_FOLDER",
        `The folder ${path} cannot be made (${(error as NodeJS.ErrnoException).code}); choose another --folder.`,
      );
    }
  // Bad gates too.
  if (request.gates !== undefined) readGates(request.gates);
  const gates = request.gates === undefined ? null : sha256(readFileSync(request.gates));
  const source = loadModelFile(request.model);
  // Bad data is one sentence here, not one in every run.
  if (request.loss === "mse")
    throw badInput(
      "SWEEP_REGRESSION",
      "a sweep draws accuracies against each other, and a regression has none; run unlearn with --budget instead.",
    );
  const sets = loadSets(request, importModel(source).inputs);
  const reference = request.reference
    ? (await measureFile(request.reference, sets, { threads: request.threads })).metrics
    : null;

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
      if (signal?.aborted)
        throw new OnnxUnlearnError("INTERRUPTED", "Interrupted; finished runs are kept, run again.", 130);
      const index = next++;
      const point = points[index]!;
      const path = join(runs, `${nameOf(point)}.json`);
      const out = join(models, `${nameOf(point)}.onnx`);
      const argv = runArguments(request, point, out);
      let file = existsSync(path) ? readRun(path, argv, gates) : undefined;
      if (!file) {
        rmSync(out, { force: true });
        const { code, stdout } = await request.run(argv);
        if (code === 130)
          throw new OnnxUnlearnError("INTERRUPTED", "Interrupted; finished runs are kept, run again.", 130);
        const document: RunFile["document"] =
          stdout.trim() === "" ? { error: { message: `ended with exit code ${code}` } } : JSON.parse(stdout);
        file = { argv, gates, exitCode: code, document };
        // Whole or not at all: a run that is cut off is run again.
        writeFileSync(`${path}.part`, `${JSON.stringify(file, null, 2)}\n`);
        renameSync(`${path}.part`, path);
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
