import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { OnnxUnlearnError } from "../../../converters/errors.ts";
import type { Command } from "../../../src/cli/commander.ts";
import { flagsIn, HINTS } from "../../../src/cli/hints.ts";
import { program } from "../../../src/cli/main.ts";
import { unlearn } from "../../../src/index.ts";
import { FORGET, MODEL, RETAIN, run, temporary } from "./cli.ts";

const silent = { out: () => {}, err: () => {} };
const names = ((await program([], silent)).commands as readonly Command[]).map((command) => command.name());
const commands = (await program(names, silent)).commands.map(({ options }) =>
  options.map(({ long }) => long),
);

test.each(Object.entries(HINTS))("the flags of the hint to %s are those of one command", (_, hint) => {
  const flags = flagsIn(hint);
  expect(flags).not.toEqual([]);
  expect(commands.some((own) => flags.every((flag) => own.includes(flag)))).toBe(true);
});

test("the library's sentence names no flag, the command line's adds one, in plain text and with --json", async () => {
  const out = join(temporary(), "out.onnx");
  writeFileSync(out, "precious");
  const error = await unlearn({ model: MODEL, out, forget: FORGET, retain: RETAIN }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(OnnxUnlearnError);
  const { message } = error as OnnxUnlearnError;
  expect(message).not.toContain("--");
  const printed = `${message} ${HINTS.OUTPUT_EXISTS}`;
  const sets = ["--model", MODEL, "--out", out, "--forget", FORGET, "--retain", RETAIN];
  expect((await run("unlearn", ...sets)).stderr).toBe(`${printed}\n`);
  expect(JSON.parse((await run("unlearn", ...sets, "--json")).stdout).error.message).toBe(printed);
});
