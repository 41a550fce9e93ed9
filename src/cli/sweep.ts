import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { badInput, OnnxUnlearnError } from "../../converters/errors.ts";
import type { PointRunner, SweepDocument } from "../sweep/sweep.ts";
import { METHODS, type Method } from "../unlearn/types.ts";
import { InvalidArgumentError } from "./commander.ts";
import { type Io, printJson } from "./io.ts";
import { collectNamed, count, number, positiveCount, type SetFlags, setPaths, withSets } from "./options.ts";

interface SweepFlags extends SetFlags {
  readonly model: string;
  readonly reference?: string;
  readonly folder: string;
  readonly methods: readonly Method[];
  readonly epsilons?: readonly string[];
  readonly budgets?: readonly string[];
  readonly seeds: readonly number[];
  readonly also: Readonly<Record<string, string>>;
  readonly gates?: string;
  readonly jobs?: number;
  readonly force?: boolean;
  readonly threads: number;
  readonly json?: boolean;
}

const words = (text: string): string[] => text.split(",").map((word) => word.trim());
const methodList = (text: string): Method[] =>
  words(text).map((word) => {
    const method = METHODS.find((name) => name === word);
    if (!method) throw new InvalidArgumentError(`"${word}" is no method; there are ${METHODS.join(", ")}.`);
    return method;
  });
const numberList = (text: string): string[] => {
  words(text).forEach(number);
  return words(text);
};
const countList = (text: string): number[] => words(text).map(count);

/** Flags of `unlearn` that name a file of one run. */
const WRITTEN = ["--out", "--report", "--html", "--markdown", "--junit"];

/** ε_t per step across the field's settings, from demanding an improvement to allowing none. */
const EPSILONS = ["-0.05", "-0.02", "-0.01", "-0.005", "0"] as const;

export const defineSweep = (command: Command, io: Io): Command =>
  withSets(command.requiredOption("--model <file>", "the shipped model; never touched"))
    .requiredOption(
      "--folder <folder>",
      "where runs, models and the picture go; finished runs are not run again",
    )
    .option("--reference <file>", "a model retrained without the forget set; only measured")
    .option("--methods <list>", "separated by commas", methodList, ["eupmu"])
    .option("--epsilons <list>", `separated by commas (default: ${EPSILONS.join(",")})`, numberList)
    .option("--budgets <list>", "budgets in place of ε_t, such as 0.2pp,0.5pp,1pp", words)
    .option("--seeds <list>", "separated by commas", countList, [0])
    .option("--also <name=file>", "a further set, measured before and after (repeatable)", collectNamed, {})
    .option("--gates <file>", "checks for every exported model (YAML); exit 1 where no run passes")
    .option("--jobs <count>", "runs at the same time (default: one per processor)", positiveCount)
    .option("--threads <count>", "threads of each run", positiveCount, 1)
    .option("--force", "replace runs of other options, and files that no sweep wrote, in the folder")
    .option("--json", "print one JSON document on stdout")
    .action(async (options: string[], flags: SweepFlags) => {
      const { pointsOf, sweep } = await import("../sweep/sweep.ts");
      if (flags.epsilons && flags.budgets)
        throw new InvalidArgumentError("give --epsilons or --budgets, not both.");
      const clash = options.find((option) => WRITTEN.some((flag) => option.split("=")[0] === flag));
      if (clash !== undefined)
        throw badInput(
          "OUTPUT_CLASH",
          `Every run would write the same ${clash.split("=")[0]}; the folder holds what each of them reports.`,
        );
      const { model, reference, folder, methods, seeds, also, gates, threads } = flags;
      const document = await sweep({
        ...setPaths(flags),
        model,
        reference,
        folder,
        also,
        gates,
        force: flags.force,
        onPhase: (sentence) => io.err(`${sentence}\n`),
        points: flags.budgets
          ? pointsOf(methods, "budget", flags.budgets, seeds)
          : pointsOf(methods, "epsilon", flags.epsilons ?? EPSILONS, seeds),
        jobs: flags.jobs ?? Math.max(1, Math.floor(availableParallelism() / threads)),
        threads,
        runner: commandRunner(flags, options, io.runCommand ?? inProcessOfItsOwn(io.signal)),
        onRun: (done, all, { name, error }) =>
          io.err(`${done} of ${all}: ${name}${error ? `: ${error}` : ""}\n`),
        signal: io.signal,
      });
      const { writeSweep } = await import("../report/write.ts");
      await writeSweep(folder, document);
      if (flags.json) printJson(io, document);
      else await printSweep(document, folder, io);
      if (gates !== undefined && !document.runs.some((run) => run.gates === "passed")) io.exitWith?.(1);
    });

type RunCommand = NonNullable<Io["runCommand"]>;

/**
 * Runs a point as a command of its own.
 * @param options further options of `onnx-unlearn unlearn` for every run
 */
function commandRunner(flags: SweepFlags, options: readonly string[], run: RunCommand): PointRunner {
  const { model, forget, retain, test, validation, also, scale, mean, std, loss, gates, threads } = flags;
  const given = Object.entries({ model, forget, retain, test, validation, loss, gates }).flatMap(
    ([name, value]) => (value === undefined ? [] : [`--${name}`, value]),
  );
  const signature: PointRunner["signature"] = ({ method, knob, value, seed }, out) => [
    ...["unlearn", ...given],
    ...Object.entries(also).flatMap(([name, path]) => ["--also", `${name}=${path}`]),
    ...[`--scale=${scale}`, `--mean=${mean.join(",")}`, `--std=${std.join(",")}`],
    ...["--method", method, `--${knob}=${value}`, "--seed", `${seed}`],
    ...["--threads", `${threads}`, ...options, "--out", out, "--force", "--json"],
  ];
  return {
    signature,
    async run(point, out) {
      const { code, stdout } = await run(signature(point, out));
      if (code === 130)
        throw new OnnxUnlearnError("INTERRUPTED", "Interrupted; finished runs are kept, run again.", 130);
      return {
        exitCode: code,
        document:
          stdout.trim() === "" ? { error: { message: `ended with exit code ${code}` } } : JSON.parse(stdout),
      };
    },
  };
}

/** A child process per run: ONNX Runtime's threads are those of the run alone, and a crash costs one run. */
const inProcessOfItsOwn =
  (signal: AbortSignal | undefined): RunCommand =>
  (argv) =>
    new Promise((resolve, reject) => {
      const main = fileURLToPath(new URL("./main.js", import.meta.url));
      const child = spawn(process.execPath, [main, ...argv], {
        stdio: ["ignore", "pipe", "ignore"],
        ...(signal ? { signal } : {}),
      });
      let stdout = "";
      child.stdout.setEncoding("utf8").on("data", (part: string) => {
        stdout += part;
      });
      child.on("error", (error) =>
        (error as NodeJS.ErrnoException).code === "ABORT_ERR"
          ? resolve({ code: 130, stdout: "" })
          : reject(error),
      );
      child.on("close", (code) => resolve({ code: code ?? 70, stdout }));
    });

async function printSweep(document: SweepDocument, folder: string, io: Io): Promise<void> {
  const { sweepTable } = await import("../report/terminal.ts");
  io.out(`${sweepTable(document)}\n${join(folder, "front.svg")} shows every run and the front.\n`);
}
