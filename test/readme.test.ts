// The README as a newcomer follows it: a copy of what git tracks, the stated install step, then every command
// as it is printed, in a shell.
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { temporary } from "./src/cli/cli.ts";

const root = resolve(import.meta.dirname, "..");
const blocks = [...readFileSync(join(root, "README.md"), "utf8").matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(
  ([, block]) => block!.trim(),
);
/** The first block installs the command; the others use it. */
const [install, ...uses] = blocks as [string, ...string[]];
const clone = temporary();
const prefix = temporary();

function shell(commands: string) {
  const { status, stdout, stderr } = spawnSync("bash", ["-euo", "pipefail", "-c", commands], {
    cwd: clone,
    encoding: "utf8",
    env: {
      ...process.env,
      npm_config_prefix: prefix,
      PATH: `${join(prefix, "bin")}${delimiter}${process.env["PATH"]}`,
    },
  });
  return { status, stdout, stderr };
}

beforeAll(() => {
  const tracked = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  });
  for (const file of tracked.split("\0").filter(Boolean)) {
    mkdirSync(dirname(join(clone, file)), { recursive: true });
    cpSync(join(root, file), join(clone, file), { verbatimSymlinks: true });
  }
});

test("the install step, but for npm ci, which brought the packages that stand here", () => {
  expect(install).toMatch(/^npm ci && npm run build && npm install -g \.$/);
  const linked = `ln -s ${JSON.stringify(join(root, "node_modules"))} node_modules`;
  const { status, stderr } = shell(install.replace("npm ci", linked));
  expect(status, stderr).toBe(0);
});

test.each(uses.map((block) => [block.split("\n")[0]!, block] as const))("%s …", (_, block) => {
  const { status, stderr } = shell(block);
  expect(status, stderr).toBe(0);
});
