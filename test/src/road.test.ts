import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { importModel } from "../../converters/importer.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import { DEFAULT_OPTIONS } from "../../src/case/unlearn.ts";
import { main } from "../../src/cli/main.ts";
import { loadDataset } from "../../src/data/dataset.ts";
import { firstSamples } from "../../src/data/sets.ts";
import { train } from "../../src/unlearn/train.ts";
import type { Method } from "../../src/unlearn/types.ts";
import { FORGET, MODEL, RETAIN, run, SCALING, temporary } from "./cli/cli.ts";

const DATA = ["--model", MODEL, "--forget", FORGET, "--retain", RETAIN];
const FLAGS = [...SCALING, "--batch-size", "64", "--threads", "1"];
const folder = temporary();

test("a no-op export is byte-identical, and no existing output is overwritten", async () => {
  const out = join(folder, "noop.onnx");
  const first = await run("unlearn", ...DATA, ...FLAGS, "--epochs", "0", "--out", out, "--json");
  expect(first.stderr).toBe("");
  expect(first.code).toBe(0);
  expect(readFileSync(out).equals(readFileSync(MODEL))).toBe(true);
  const again = await run("unlearn", ...DATA, ...FLAGS, "--epochs", "0", "--out", out);
  expect(again.code).toBe(2);
  expect(again.stderr).toContain("--force");
});

test("the same seed gives the same bytes, another seed others; verify holds the report to them", async () => {
  const original = readFileSync(MODEL);
  const outs: Buffer[] = [];
  for (const [name, seed] of [
    ["a", "0"],
    ["b", "0"],
    ["c", "1"],
  ] as const) {
    const out = join(folder, `${name}.onnx`);
    const report = join(folder, `${name}.json`);
    const { code, stdout } = await run(
      "unlearn",
      ...DATA,
      ...FLAGS,
      "--epochs",
      "1",
      "--epsilon",
      "-0.01",
      "--seed",
      seed,
      "--out",
      out,
      "--report",
      report,
      "--json",
    );
    expect(code).toBe(0);
    const document = JSON.parse(stdout);
    expect(document.export.changedTensors.length).toBeGreaterThan(0);
    expect(document.export.parity.maxAbsDiff).toBeLessThan(1e-3);
    expect(document.budget.epsilon).toBe(-0.01);
    outs.push(readFileSync(out));
    expect((await run("verify", out, "--before", MODEL, "--report", report)).code).toBe(0);
  }
  expect(outs[0]!.equals(outs[1]!)).toBe(true);
  expect(outs[0]!.equals(outs[2]!)).toBe(false);
  expect(readFileSync(MODEL).equals(original)).toBe(true);
  // One flipped bit in a weight that training changed keeps the list of changed tensors, but not the bytes.
  const tampered = join(folder, "tampered.onnx");
  const [bytes, before] = [Buffer.from(outs[0]!), original];
  const at = bytes.findIndex((byte, i) => byte !== before[i]);
  // 2 differs from the first change where flipping bit 0 would restore the original.
  bytes[at] = (bytes[at]! ^ 1) === before[at] ? bytes[at]! ^ 2 : bytes[at]! ^ 1;
  writeFileSync(tampered, bytes);
  expect((await run("verify", tampered, "--before", MODEL)).code).toBe(0);
  expect((await run("verify", tampered, "--before", MODEL, "--report", join(folder, "a.json"))).code).toBe(4);
  writeFileSync(tampered, bytes.subarray(0, 30_000));
  expect((await run("verify", tampered, "--before", MODEL)).code).toBe(4);
  // A file that was not scrubbed does not fit the report of one that was.
  const unchanged = await run("verify", MODEL, "--before", MODEL, "--report", join(folder, "a.json"));
  expect(unchanged.code).toBe(4);
});

test.each<Method>(["eupmu", "eupmu-fast", "explicit", "finetune", "random-label", "gradient-ascent"])(
  "%s: the compiled step equals the eager one on tfjs cpu",
  async (method) => {
    const model = importModel(loadModelFile(MODEL));
    const how = { scale: 16, mean: [0.5], std: [0.5] };
    const forget = firstSamples(await loadDataset(FORGET, model.inputs, how), 5);
    const retain = firstSamples(await loadDataset(RETAIN, model.inputs, how), 9);
    const options = { ...DEFAULT_OPTIONS, method, epochs: 1, batchSize: 8, threads: 1 };
    const compiled = await train({ model, forget, retain, options: { ...options, engine: "onnxruntime" } });
    const eager = await train({ model, forget, retain, options: { ...options, engine: "cpu" } });
    expect(compiled.steps).toBe(eager.steps);
    compiled.ledger.forEach((entry, i) => {
      const reference = eager.ledger[i]!;
      for (const key of ["forgetLoss", "retainLoss"] as const) {
        if (reference[key] === null) expect(entry[key]).toBeNull();
        else
          expect(Math.abs(entry[key]! - reference[key]!)).toBeLessThanOrEqual(
            1e-3 * Math.max(1e-2, Math.abs(reference[key]!)),
          );
      }
    });
    for (const { name, data } of model.parameters.filter((p) => p.trainable)) {
      const [a, b] = [compiled.weights.get(name)!, eager.weights.get(name)!];
      const moved = Math.hypot(...Array.from(b, (v, i) => v - data[i]!));
      expect(moved, name).toBeGreaterThan(0);
      expect(Math.hypot(...Array.from(b, (v, i) => v - a[i]!)) / moved, name).toBeLessThanOrEqual(1e-3);
    }
  },
);

test("an interrupted run exits 130 and writes nothing", async () => {
  const controller = new AbortController();
  controller.abort();
  const out = join(folder, "interrupted.onnx");
  const code = await main(["unlearn", ...DATA, ...FLAGS, "--out", out], {
    out: () => {},
    err: () => {},
    signal: controller.signal,
  });
  expect(code).toBe(130);
  expect(existsSync(out)).toBe(false);
});

test("a usage error is said once", async () => {
  const { stderr } = await run("inspect", MODEL, "--colour");
  expect(stderr.match(/unknown option/g)).toHaveLength(1);
});
