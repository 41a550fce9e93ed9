import { expect, test } from "vitest";
import { run } from "./cli.ts";

/** The text with its line breaks and indents made single spaces. */
const words = (text: string): string => text.replace(/\s+/g, " ");

test("the list of commands says of each what the command says of itself", async () => {
  const { code, stdout } = await run("--help");
  expect(code).toBe(0);
  const names = [...stdout.matchAll(/^ {2}([a-z]+) \[options\]/gm)].map(([, name]) => name!);
  expect(names).toEqual(["inspect", "unlearn", "sweep", "evaluate", "diff", "verify", "run", "demo"]);
  for (const name of names) {
    const own = await run(name, "--help");
    const [, usage, description] = /^Usage: onnx-unlearn ([^\n]+)\n\n(.+?)\n\n/s.exec(own.stdout)!;
    expect(words(stdout)).toContain(words(`${usage} ${description}`));
    expect(own.stdout).toContain("--json");
    expect(await run("help", name)).toEqual(own);
  }
});
