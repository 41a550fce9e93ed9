// The commands that the documents show are run as they stand: every `onnx-unlearn` line of a fenced `sh`
// block, in order.
import { existsSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run, temporary } from "./src/cli/cli.ts";

const root = resolve(import.meta.dirname, "..");
const documents = [
  "README.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "bench/peers/README.md",
  "examples/README.md",
  "models/README.md",
  ...(existsSync(join(root, "docs")) ? readdirSync(join(root, "docs")) : [])
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name)),
];

/** Commands of the fenced `sh` blocks, continued lines joined. */
const commandsOf = (text: string): string[] =>
  [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap(([, block]) =>
    block!
      .replaceAll(/\\\n\s*/g, "")
      .split("\n")
      .filter((line) => line.startsWith("onnx-unlearn ")),
  );

/** Links and images to files of the project: the file, empty for the page itself, and the place in it. */
const linksOf = (text: string): (readonly [file: string, anchor: string | undefined])[] =>
  [...text.matchAll(/\]\(([^)#]*)(?:#([^)]*))?\)/g)].flatMap(([, file, anchor]) =>
    /^[a-z]+:/.test(file!) ? [] : [[file!, anchor] as const],
  );

/** The places of a page that a link can name: its headings as GitHub spells them, and `<a id>`. */
const anchorsOf = (text: string): string[] => [
  ...[...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, "")
      .replaceAll(" ", "-"),
  ),
  ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id!),
];

const home = process.cwd();
afterAll(() => process.chdir(home));

describe.each(documents)("%s", (name) => {
  const text = readFileSync(join(root, name), "utf8");

  test("its links lead somewhere", () => {
    for (const [target, anchor] of linksOf(text)) {
      const path = target === "" ? join(root, name) : join(root, name, "..", target);
      expect(existsSync(path), target).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(readFileSync(path, "utf8")), target).toContain(anchor);
    }
  });

  const commands = commandsOf(text);
  describe.runIf(commands.length > 0)("its commands work", () => {
    beforeAll(() => {
      // A folder like a clone, where what the commands write does no harm.
      const folder = temporary();
      symlinkSync(join(root, "models"), join(folder, "models"));
      process.chdir(folder);
    });
    test.each(commands)("%s", async (command) => {
      const { code, stderr } = await run(...command.split(/\s+/).slice(1));
      expect(code, stderr).toBe(0);
    });
  });
});

test("the README's figures are filled in", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  for (const [, kind, argument, content] of readme.matchAll(
    /<!-- (output|file): (.*?) -->\n([\s\S]*?)<!-- \/\1 -->/g,
  ))
    expect(content!.trim().length, `${kind}: ${argument}`).toBeGreaterThan(0);
});
