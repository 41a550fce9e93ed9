// The one-way road of docs/architecture.md: what may import what, types included.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "..");
/** A room imports from itself and from lines above its own, not from its neighbours on the line. */
const lines = (
  "converters/error-codes.ts, converters/errors.ts converters/dims.ts converters/tf.ts, converters/onnx, " +
  "converters/graph, converters/kernels converters/export, converters/import converters/compile, " +
  "converters/importer.ts, converters/examine.ts, src/silence.ts src/package.ts src/interrupt.ts src/tasks, " +
  "src/runtime.ts src/data, src/engine, src/unlearn, src/prepare, src/evaluate, src/gates, src/case, " +
  "src/sweep, src/report, src/release, src/schemas src/index.ts, src/cli"
)
  .split(", ")
  .map((line) => line.split(" "));
const files = ["converters", "src"].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(folder, name)),
);
const importsOf = (file: string): string[] =>
  [...readFileSync(join(root, file), "utf8").matchAll(/(?:from|import)\s*\(?"(\.[^"]+)"/g)].map(([, path]) =>
    relative(root, resolve(root, dirname(file), path!)),
  );
const roomOf = (file: string) => file.split("/").slice(0, 2).join("/");
test.each(files)("%s imports only from rooms before its own", (file) => {
  const at = lines.findIndex((line) => line.includes(roomOf(file)));
  const allowed = [roomOf(file), ...lines.slice(0, at).flat()];
  for (const path of [file, ...importsOf(file)]) expect(at < 0 ? [] : allowed).toContain(roomOf(path));
});

test("no circle of files", () => {
  const done = new Set<string>();
  const walk = (file: string, way: readonly string[]): void => {
    expect(way, way.join(" → ")).not.toContain(file);
    if (!done.has(file)) for (const next of importsOf(file)) walk(next, [...way, file]);
    done.add(file);
  };
  for (const file of files) walk(file, []);
});
