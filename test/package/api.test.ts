// docs/api is what typedoc makes of the docstrings: it refuses exports without one, and types that are named
// but not exported.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { temporary } from "../src/cli/cli.ts";

const root = resolve(import.meta.dirname, "../..");

/** Files of a folder by path. */
const filesOf = (folder: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".md"))
      .sort()
      .map((name) => [name, readFileSync(join(folder, name), "utf8")]),
  );

test("every export has a docstring, and docs/api is what npm run docs writes", () => {
  const out = temporary();
  const { status, stdout, stderr } = spawnSync(
    "npm",
    ["run", "--silent", "--workspace", "bench/package", "api", "--", "--out", out],
    { cwd: root, encoding: "utf8" },
  );
  expect(status, stdout + stderr).toBe(0);
  expect(filesOf(out)).toEqual(filesOf(join(root, "docs/api")));
});
