import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zipSync } from "fflate";
import { expect, test } from "vitest";
import { importModel } from "../../converters/import/graph.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import { DEFAULT_OPTIONS } from "../../src/api/unlearn.ts";
import { main } from "../../src/cli/main.ts";
import { loadDataset } from "../../src/data/dataset.ts";
import { train } from "../../src/unlearn/train.ts";
import type { Dataset, Method } from "../../src/unlearn/types.ts";

const digits = join(import.meta.dirname, "../../models/digits");
const MODEL = join(digits, "digits.onnx");
const DATA = [
  "--model",
  MODEL,
  "--forget",
  join(digits, "digits-forget.npz"),
  "--retain",
  join(digits, "digits-retain.npz"),
];
const FLAGS = ["--scale", "16", "--mean", "0.5", "--std", "0.5", "--batch-size", "64", "--threads", "1"];
const folder = mkdtempSync(join(tmpdir(), "onnx-unlearn-test-"));

async function run(...argv: string[]) {
  let [stdout, stderr] = ["", ""];
  const code = await main(argv, {
    out: (text) => {
      stdout += text;
    },
    err: (text) => {
      stderr += text;
    },
  });
  return { code, stdout, stderr };
}

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

test.each<[string, string[], number]>([
  ["unknown option", ["unlearn", ...DATA, "--out", join(folder, "x.onnx"), "--epsilom", "1"], 2],
  ["not a number", ["unlearn", ...DATA, "--out", join(folder, "x.onnx"), "--lr", "fast"], 2],
  ...(
    [
      ["--batch-size", "0"],
      ["--threads", "0"],
      ["--lr", "-1"],
      ["--std", "0"],
      ["--scale", "0"],
      ["--report", join(folder, "absent", "r.json")],
    ] as const
  ).map((pair): [string, string[], number] => [
    pair.join(" "),
    ["unlearn", ...DATA, "--out", join(folder, "x.onnx"), ...pair],
    2,
  ]),
  ["OUT = model", ["unlearn", ...DATA, "--out", MODEL, "--force"], 2],
  ["no folder for OUT", ["unlearn", ...DATA, "--out", join(folder, "absent", "x.onnx")], 2],
  ["missing model", ["inspect", join(folder, "absent.onnx")], 2],
  ["not an ONNX file", ["inspect", join(digits, "digits-test.npz")], 2],
  [
    "forget = retain",
    [
      "unlearn",
      "--model",
      MODEL,
      "--forget",
      join(digits, "digits-forget.npz"),
      "--retain",
      join(digits, "digits-forget.npz"),
      "--out",
      join(folder, "x.onnx"),
    ],
    2,
  ],
  [
    "a glob that matches nothing",
    ["unlearn", ...DATA, "--out", join(folder, "x.onnx"), "--train", "nothing*"],
    3,
  ],
  ["no such logits", ["inspect", MODEL, "--logits", "nothing"], 3],
])("%s: a sentence, the exit code, nothing written", async (_, argv, wanted) => {
  const { code, stderr, stdout } = await run(...argv, "--json");
  expect(code).toBe(wanted);
  expect(stderr).not.toMatch(/\n\s+at /);
  expect(JSON.parse(stdout).error.exitCode).toBe(wanted);
  expect(existsSync(join(folder, "x.onnx"))).toBe(false);
});

test("a truncated model is refused with a sentence", async () => {
  const cut = join(folder, "cut.onnx");
  writeFileSync(cut, readFileSync(MODEL).subarray(0, 30_000));
  const { code, stderr } = await run("inspect", cut);
  expect(code).toBe(2);
  expect(stderr).toContain(cut);
});

const part = (set: Dataset, count: number): Dataset => ({
  ...set,
  count,
  labels: set.labels.slice(0, count),
  inputs: Object.fromEntries(
    Object.entries(set.inputs).map(([name, { data, dims }]) => [
      name,
      { data: data.slice(0, (data.length / set.count) * count), dims: [count, ...dims.slice(1)] },
    ]),
  ),
});

test.each<Method>(["eupmu", "eupmu-fast", "explicit", "finetune", "random-label", "gradient-ascent"])(
  "%s: the compiled step equals the eager one on tfjs cpu",
  async (method) => {
    const model = importModel(loadModelFile(MODEL));
    const how = { scale: 16, mean: [0.5], std: [0.5] };
    const forget = part(loadDataset(join(digits, "digits-forget.npz"), model.inputs, how), 5);
    const retain = part(loadDataset(join(digits, "digits-retain.npz"), model.inputs, how), 9);
    const options = { ...DEFAULT_OPTIONS, method, epochs: 1, batchSize: 8, threads: 1 };
    const compiled = await train(model, forget, retain, { ...options, engine: "onnxruntime" });
    const eager = await train(model, forget, retain, { ...options, engine: "cpu" });
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

test("a label beyond the model's classes is refused before training, in the test set too", async () => {
  // numpy.savez of x [1,1,8,8] and y = [12], built here by hand: header, data, and the zip around them.
  const npy = (descr: string, shape: string, data: Uint8Array) => {
    const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape}), }\n`;
    const head = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length, 0]);
    return Buffer.concat([head, Buffer.from(header, "latin1"), data]);
  };
  const bad = join(folder, "bad.npz");
  const y = new Uint8Array(new BigInt64Array([12n]).buffer);
  writeFileSync(
    bad,
    zipSync({ "x.npy": npy("|u1", "1, 1, 8, 8", new Uint8Array(64)), "y.npy": npy("<i8", "1,", y) }),
  );
  const out = join(folder, "label.onnx");
  const { code, stderr } = await run("unlearn", ...DATA, ...FLAGS, "--test", bad, "--out", out);
  expect(code).toBe(2);
  expect(stderr).toContain(`${bad}: sample 0 has label 12`);
  // Not one training step was reported.
  expect(stderr).not.toContain("step ");
  expect(existsSync(out)).toBe(false);
});

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
