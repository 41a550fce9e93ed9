#!/usr/bin/env node
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { OnnxUnlearnError } from "../../converters/errors.ts";
import { packageVersion } from "./package.ts";

const number = (text: string): number => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("it must be a number.");
  return value;
};
const count = (text: string): number => {
  const value = number(text);
  if (!Number.isInteger(value) || value < 0)
    throw new InvalidArgumentError("it must be a whole number of at least 0.");
  return value;
};
const positive = (text: string): number => {
  const value = number(text);
  if (value <= 0) throw new InvalidArgumentError("it must be greater than 0.");
  return value;
};
const positiveCount = (text: string): number => positive(String(count(text)));
const list = (text: string): number[] => text.split(",").map(number);
const positiveList = (text: string): number[] => text.split(",").map(positive);
const collect = (text: string, before: string[]): string[] => [...before, text];

/** Where output goes: results to stdout, everything else to stderr. */
export interface Io {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Asks a long command to stop: exit 130, nothing half-written. */
  readonly signal?: AbortSignal;
}

const withPreprocessing = (command: Command): Command =>
  command
    .option("--scale <number>", "x' = (x / scale − mean) / std", positive, 1)
    .option("--mean <list>", "per channel, or one value", list, [0])
    .option("--std <list>", "per channel, or one value", positiveList, [1]);

function program(io: Io): Command {
  const root = new Command("onnx-unlearn")
    .description("Unlearning for shipped ONNX models")
    .version(packageVersion())
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err, outputError: () => {} });
  const sub = (name: string, description: string) =>
    root.command(name).description(description).option("--json", "print one JSON document on stdout");

  sub("inspect", "what a model holds and whether it can be trained")
    .argument("<model>")
    .option("--logits <name>", "value name of the logits")
    .action(async (model: string, options) => (await import("./inspect.ts")).inspect(model, options, io));

  withPreprocessing(sub("unlearn", "scrub a model"))
    .requiredOption("--model <file>")
    .requiredOption("--forget <file>")
    .requiredOption("--retain <file>")
    .option("--test <file>")
    .requiredOption("--out <file>")
    .addOption(
      new Option("--method <name>")
        .choices(["eupmu", "eupmu-fast", "explicit", "finetune", "random-label", "gradient-ascent"])
        .default("eupmu"),
    )
    .option("--epsilon <number>", "ε_t per step, log-ratio units of the utility loss", number, -0.01)
    .addOption(new Option("--dual <rule>").choices(["adam", "ascent"]).default("adam"))
    .option("--epochs <count>", "passes over the union of both sets", count, 5)
    .option("--lr <number>", "learning rate", positive, 0.001)
    .option("--batch-size <count>", "samples per step", positiveCount, 128)
    .option("--seed <count>", "seed of every draw", count, 0)
    .option("--threads <count>", "threads of ONNX Runtime", positiveCount)
    .option("--train <glob>", "train only these weights (repeatable)", collect, [])
    .option("--freeze <glob>", "never train these weights (repeatable)", collect, [])
    .option("--logits <name>", "value name of the logits")
    .addOption(
      new Option("--engine <name>").choices(["onnxruntime", "tensorflow", "cpu"]).default("onnxruntime"),
    )
    .option("--report <file>", "write the JSON report to a file")
    .option("--allow-overlap", "accept samples in both sets")
    .option("--force", "overwrite an existing output")
    .action(async (options) => (await import("./unlearn.ts")).unlearnCommand(options, io));

  sub("verify", "which tensors changed, and nothing else")
    .argument("<after>")
    .requiredOption("--before <file>")
    .option("--report <file>", "check that exactly the reported tensors changed")
    .action(async (after: string, options) =>
      (await import("./verify.ts")).verifyCommand(after, options, io),
    );

  sub("demo", "scrub the digits classifier that ships with the package").action(async (options) =>
    (await import("./demo.ts")).demo(options, io),
  );
  return root;
}

/** Runs the command line and returns the exit code. Errors become one sentence on stderr, and one document with --json. */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  const report = (code: string, message: string, exitCode: number): number => {
    io.err(`${message}\n`);
    if (argv.includes("--json")) io.out(`${JSON.stringify({ error: { code, message, exitCode } })}\n`);
    return exitCode;
  };
  const quiet: Io = { ...io, err: () => {} };
  try {
    await program(argv.includes("--json") ? quiet : io).parseAsync([...argv], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError)
      return error.exitCode === 0 ? 0 : report("USAGE", error.message.replace(/^error: /, ""), 2);
    if (error instanceof OnnxUnlearnError) return report(error.code, error.message, error.exitCode);
    const message = error instanceof Error ? error.message : String(error);
    return report(
      "DEFECT",
      `This is a defect of onnx-unlearn ${packageVersion()}, please report it: ${message}`,
      70,
    );
  }
}

if (process.argv[1] && /(onnx-unlearn|main\.[jt]s)$/.test(process.argv[1])) {
  const controller = new AbortController();
  process.once("SIGINT", () => {
    controller.abort();
    // A second one does not wait for the running step.
    process.once("SIGINT", () => process.exit(130));
  });
  process.exitCode = await main(process.argv.slice(2), {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    signal: controller.signal,
  });
}
