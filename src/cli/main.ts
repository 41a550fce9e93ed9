#!/usr/bin/env node
import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command, CommanderError } from "commander";
import { type ExitCode, OnnxUnlearnError } from "../../converters/errors.ts";
import { packageVersion } from "../package.ts";
import { registerDemo } from "./demo.ts";
import { registerDiff } from "./diff.ts";
import { registerEvaluate } from "./evaluate.ts";
import { registerInspect } from "./inspect.ts";
import type { Io } from "./io.ts";
import { registerRun } from "./run.ts";
import { registerSweep } from "./sweep.ts";
import { registerUnlearn } from "./unlearn.ts";
import { registerVerify } from "./verify.ts";

function program(io: Io): Command {
  const root = new Command("onnx-unlearn")
    .description("Unlearning for shipped ONNX models")
    .version(packageVersion())
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err, outputError: () => {} });
  // Each command imports what it needs when it runs, so that --help answers at once.
  for (const register of [
    registerInspect,
    registerUnlearn,
    registerSweep,
    registerEvaluate,
    registerDiff,
    registerVerify,
    registerRun,
    registerDemo,
  ])
    register(root, io);
  return root;
}

/** Runs the command line and returns the exit code. Errors become one sentence on stderr, and one document with --json. */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  const json = argv.includes("--json");
  const report = (code: string, message: string, exitCode: number): number => {
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
    await program({ ...(json ? quiet : io), exitWith }).parseAsync([...argv], { from: "user" });
    return verdict;
  } catch (error) {
    if (error instanceof CommanderError)
      return error.exitCode === 0
        ? 0
        : report("USAGE", error.message.replace(/^error: /, "").replaceAll("\n", " "), 2);
    if (error instanceof OnnxUnlearnError) return report(error.code, error.message, error.exitCode);
    const message = error instanceof Error ? error.message : String(error);
    return report(
      "DEFECT",
      `This is a defect of onnx-unlearn ${packageVersion()}, please report it: ${message}`,
      70,
    );
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
