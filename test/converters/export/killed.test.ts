// A process is killed at every file operation of a commit: the model that was there, or the new one, is whole.
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { onnx as Onnx } from "onnx-proto";
import pkg from "onnx-proto";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { build } from "vite";
import { beforeAll, expect, test } from "vitest";
import { undoUnfinished } from "../../../converters/export/whole.ts";
import { exportModel } from "../../../converters/export/write.ts";
import { loadModelFile } from "../../../converters/onnx/read.ts";
import { run } from "../../src/cli/cli.ts";

const { onnx } = pkg;
const root = join(import.meta.dirname, "../../..");
const temporary = (): string => mkdtempSync(join(tmpdir(), "onnx-killed-"));
const bytesOf = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);

/** y = x·a + x·b with a and b [2, 2] in files of their own: at x = [1, 0] the answer tells which files were read. */
function writeSource(folder: string): string {
  const weight = (name: string): Onnx.ITensorProto => ({
    ...{ name, dims: [2, 2], dataType: 1, dataLocation: 1 },
    externalData: [{ key: "location", value: `${name}.bin` }],
  });
  const value = (name: string) => ({
    name,
    type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: "N" }, { dimValue: 2 }] } } },
  });
  const node = (opType: string, input: string[], output: string) => ({ opType, input, output: [output] });
  const path = join(folder, "source.onnx");
  const graph = {
    name: "g",
    node: [node("MatMul", ["x", "a"], "p"), node("MatMul", ["x", "b"], "q"), node("Add", ["p", "q"], "y")],
    initializer: [weight("a"), weight("b")],
    input: [value("x")],
    output: [value("y")],
  };
  writeFileSync(join(folder, "a.bin"), bytesOf(1, 1, 0, 0));
  writeFileSync(join(folder, "b.bin"), bytesOf(10, 10, 0, 0));
  const model = { irVersion: 8, opsetImport: [{ domain: "", version: 17 }], graph };
  writeFileSync(path, onnx.ModelProto.encode(onnx.ModelProto.create(model)).finish());
  return path;
}
const weights = (a: number, b: number) =>
  new Map([
    ["a", Float32Array.of(a, a, 0, 0)],
    ["b", Float32Array.of(b, b, 0, 0)],
  ]);
async function answer(path: string): Promise<number> {
  const session = await InferenceSession.create(path);
  const { y } = await session.run({ x: new Tensor("float32", [1, 0], [1, 2]) });
  return (y!.data as Float32Array)[0]!;
}

/** Runs an export and dies after file operation N, or in the middle of write N. */
const CHILD = `
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
const [source, out, at, when] = process.argv.slice(2);
let done = 0;
const armed = { now: false };
const die = () => process.kill(process.pid, "SIGKILL");
for (const name of ["openSync", "writeFileSync", "fsyncSync", "closeSync", "renameSync", "rmSync", "mkdirSync"]) {
  const real = fs[name];
  fs[name] = (...args) => {
    const counts = armed.now && (when === "after" || name === "writeFileSync");
    const mine = counts && done++ === Number(at);
    if (mine && when === "within") {
      real(args[0], args[1].subarray(0, args[1].length >> 1));
      die();
    }
    const result = real(...args);
    if (mine) die();
    return result;
  };
}
syncBuiltinESMExports();
const { exportModel, loadModelFile } = await import("./entry.js");
const model = loadModelFile(source);
armed.now = true;
const of = (v) => Float32Array.of(v, v, 0, 0);
await exportModel(model, new Map([["a", of(2)], ["b", of(20)]]), out, { force: true });
console.log("finished after " + done);
`;

let bundle: string;
let source: string;
let start: string;
beforeAll(async () => {
  bundle = temporary();
  const entry = join(bundle, "entry.ts");
  writeFileSync(
    entry,
    `export { exportModel } from "${root}/converters/export/write.ts";
     export { loadModelFile } from "${root}/converters/onnx/read.ts";`,
  );
  await build({
    ...{ root, configFile: false, logLevel: "silent" },
    build: { ssr: entry, outDir: bundle, emptyOutDir: false, minify: false },
  });
  symlinkSync(join(root, "node_modules"), join(bundle, "node_modules"));
  writeFileSync(join(bundle, "package.json"), '{ "type": "module" }');
  writeFileSync(join(bundle, "child.js"), CHILD);
  source = writeSource(temporary());
  start = temporary();
  await exportModel(loadModelFile(source), weights(3, 30), join(start, "m.onnx"));
  expect(await answer(join(start, "m.onnx"))).toBe(33);
});

test.each(["within", "after"])("killed %s each file operation", async (when) => {
  const seen = { old: 0, new: 0, undone: 0 };
  for (let at = 0; ; at++) {
    const folder = temporary();
    cpSync(start, folder, { recursive: true });
    const out = join(folder, "m.onnx");
    const { stdout, stderr, signal } = spawnSync(
      process.execPath,
      [join(bundle, "child.js"), source, out, `${at}`, when],
      { encoding: "utf8" },
    );
    if (signal === null) {
      expect(stdout, stderr).toMatch(/finished after/);
      expect(await answer(out)).toBe(22);
      expect(at).toBeGreaterThan(when === "after" ? 15 : 2);
      break;
    }
    // Old or new, never 32 or 23; before anything is tidied, and after.
    const got = await answer(out);
    expect([33, 22], `${when} ${at}`).toContain(got);
    seen[got === 33 ? "old" : "new"]++;
    const left = readdirSync(folder).filter((name) => name.endsWith(".unfinished"));
    const { stderr: told } = await run("inspect", out);
    for (const name of left) expect(told).toContain(name);
    if (left.length > 0) {
      seen.undone++;
      expect(told).toContain("cut off");
    }
    expect(await answer(out)).toBe(got);
    const files = readdirSync(folder).sort();
    if (got === 22) expect(files.every((name) => /^m\.onnx$|\.data$/.test(name))).toBe(true);
    else {
      expect(files).toEqual(readdirSync(start).sort());
      for (const name of files)
        expect(readFileSync(join(folder, name))).toEqual(readFileSync(join(start, name)));
    }
  }
  if (when !== "within") expect(Math.min(seen.old, seen.new, seen.undone)).toBeGreaterThan(0);
});

test("files that a live process works on stay, and so do data that another model names", async () => {
  const folder = temporary();
  cpSync(start, folder, { recursive: true });
  const before = readdirSync(folder).sort();
  const [host] = /[0-9a-f]{8}-\d+-[0-9a-f]{8}/
    .exec(
      // The mark of this machine, from a write that fails in the middle.
      spawnSync(process.execPath, [join(bundle, "child.js"), source, join(folder, "x.onnx"), "4", "after"])
        .signal
        ? readdirSync(folder).find((name) => name.endsWith(".unfinished"))!
        : "",
    )![0]
    .split("-");
  undoUnfinished([folder], () => {});
  expect(readdirSync(folder).sort()).toEqual(before);
  const alive = join(folder, `m.onnx.${host}-${process.ppid}-00000000.unfinished`);
  const elsewhere = join(folder, "m.onnx.00000000-1-00000000.unfinished");
  const dead = join(folder, `m.onnx.${host}-${process.pid}-00000000.unfinished`);
  for (const path of [alive, elsewhere]) writeFileSync(path, "");
  // The model of a run that was cut off names the data of the one that is in place.
  writeFileSync(dead, readFileSync(join(folder, "m.onnx")));
  const told: string[] = [];
  undoUnfinished([folder, join(folder, ".")], (sentence) => told.push(sentence));
  expect(told).toHaveLength(1);
  expect([alive, elsewhere, dead].map(existsSync)).toEqual([true, true, false]);
  expect(await answer(join(folder, "m.onnx"))).toBe(33);
});
