#!/usr/bin/env node
import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type ExitCode, OnnxUnlearnError } from "../../converters/errors.ts";
import { packageVersion } from "../package.ts";
import { Command, CommanderError } from "./commander.ts";
import { withHint } from "./hints.ts";
import type { Io } from "./io.ts";

/** What the list of commands says of one, and where its options and its work are. */
interface CommandEntry {
  readonly name: string;
  readonly description: string;
  /** Positional arguments in order, with what --help says of each. */
  readonly takes?: Readonly<Record<string, string>>;
  readonly load: () => Promise<(command: Command, io: Io) => Command>;
}

/** In the order of --help. */
const COMMANDS: readonly CommandEntry[] = [
  {
    name: "inspect",
    description: "what a model holds, whether it can be trained, and if not, why",
    takes: { "<model>": "" },
    load: async () => (await import("./inspect.ts")).defineInspect,
  },
  {
    name: "unlearn",
    description: "scrub a model: ONNX in, verified ONNX out, before/after figures",
    load: async () => (await import("./unlearn.ts")).defineUnlearn,
  },
  {
    name: "sweep",
    description: "the Pareto front of forgetting against utility over ε_t or budgets, and methods",
    takes: { "[options...]": "after --: options of unlearn for every run, such as --epochs 3" },
    load: async () => (await import("./sweep.ts")).defineSweep,
  },
  {
    name: "evaluate",
    description: "accuracy and membership figures of one model file",
    load: async () => (await import("./evaluate.ts")).defineEvaluate,
  },
  {
    name: "diff",
    description: "what changed between two model files, in behaviour and in bytes",
    takes: { "<before>": "", "<after>": "" },
    load: async () => (await import("./diff.ts")).defineDiff,
  },
  {
    name: "verify",
    description: "which tensors changed, and that nothing else did",
    takes: { "<after>": "" },
    load: async () => (await import("./verify.ts")).defineVerify,
  },
  {
    name: "run",
    description: "a pipeline file as one step with one verdict: unlearn, verify, compare, judge, report",
    takes: { "<pipeline>": "pipeline.yaml; paths in it are relative to it" },
    load: async () => (await import("./run.ts")).defineRun,
  },
  {
    name: "demo",
    description: "scrub the digits classifier that ships with the package",
    load: async () => (await import("./demo.ts")).defineDemo,
  },
];

/** The program that can answer `argv`: of commands that it does not name, only what lists them is there. */
export async function program(argv: readonly string[], io: Io): Promise<Command> {
  const root = new Command("onnx-unlearn")
    .description("Unlearning for shipped ONNX models")
    .version(packageVersion())
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err, outputError: () => {} });
  for (const { name, description, takes = {}, load } of COMMANDS) {
    const command = root.command(name).description(description);
    for (const [argument, meaning] of Object.entries(takes)) command.argument(argument, meaning);
    // A module is imported only where needed, so that --help answers at once.
    if (argv.includes(name)) (await load())(command, io);
    // It makes the list of commands say "[options]".
    else command.option("--json");
  }
  return root;
}

/**
 * Runs the command line and returns the exit code. Errors become one sentence on stderr, and one document
 * with --json.
 */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  const json = argv.includes("--json");
  let ran: Command | undefined;
  const report = (error: OnnxUnlearnError): number => {
    const { code, exitCode } = error;
    const message = ran ? withHint(error, ran) : error.message;
    io.err(`${message}\n`);
    if (json) io.out(`${JSON.stringify({ error: { code, message, exitCode } })}\n`);
    return exitCode;
  };
  // With --json a person is not watching: progress is left out.
  const { terminal: _, ...rest } = io;
  const quiet: Io = { ...rest, err: () => {} };
  let verdict = 0;
  const exitWith = (code: ExitCode): void => {
    verdict = code;
  };
  try {
    const root = await program(argv, { ...(json ? quiet : io), exitWith });
    root.hook("preAction", (_, command) => {
      ran = command;
    });
    await root.parseAsync([...argv], { from: "user" });
    return verdict;
  } catch (error) {
    if (error instanceof OnnxUnlearnError) return report(error);
    const message = error instanceof Error ? error.message : String(error);
    if (!(error instanceof CommanderError)) {
      const defect = `This is a defect of onnx-unlearn ${packageVersion()}, please report it: ${message}`;
      return report(new OnnxUnlearnError("DEFECT", defect, 70));
    }
    if (error.exitCode === 0) return 0;
    const usage = message.replace(/^error: /, "").replaceAll("\n", " ");
    return report(new OnnxUnlearnError("USAGE", usage, 2));
  }
}

// Run as a program (also through npm's link to it), not imported.
if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const controller = new AbortController();
  process.once("SIGINT", () => {
    controller.abort();
    // A second one does not wait for the running step.
    process.once("SIGINT", () => process.exit(130));
  });
  // The reader of a pipe has gone away (`… | head`): there is nobody left to tell.
  process.stdout.on("error", ({ code }: NodeJS.ErrnoException) => process.exit(code === "EPIPE" ? 0 : 70));
  process.exitCode = await main(process.argv.slice(2), {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    ...(process.stderr.isTTY ? { terminal: process.stderr } : {}),
    signal: controller.signal,
  });
}
