import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { onnx as Onnx } from "onnx-proto";
import pkg from "onnx-proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { encodeNpz } from "../../../src/data/npz.ts";
import { getEngine } from "../../../src/engine/index.ts";
import { FORGET, images, MODEL, RETAIN, run, SCALING, TEST, temporary } from "./cli.ts";

const { onnx } = pkg;
const hashOf = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

let folder: string;
let modelHash: string;
beforeEach(() => {
  folder = temporary();
  modelHash = hashOf(MODEL);
});
afterEach(() => {
  expect(hashOf(MODEL), "the input model is untouched").toBe(modelHash);
});

/** input [N,2] → logits [N,2] through these nodes; `w` [2,2] is a weight. */
function model(node: Onnx.INodeProto[], initializer?: Onnx.ITensorProto[], outputs = ["y"]): Uint8Array {
  const value = (name: string) => ({
    name,
    type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: "N" }, { dimValue: 2 }] } } },
  });
  return new Uint8Array(
    onnx.ModelProto.encode({
      irVersion: 8,
      opsetImport: [
        { domain: "", version: 17 },
        { domain: "acme", version: 1 },
      ],
      graph: {
        name: "g",
        node,
        initializer: initializer ?? [{ name: "w", dims: [2, 2], dataType: 1, floatData: [1, 2, 3, 4] }],
        input: [value("x")],
        output: outputs.map(value),
      },
    }).finish(),
  );
}

/** Writes a file into the test's folder and returns its path. */
const put = (name: string, bytes: Uint8Array | string): string => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};

interface Refusal {
  readonly name: string;
  readonly exitCode: number;
  /** Words the sentence must hold: the place and what is wrong. */
  readonly says: readonly (string | RegExp)[];
  /** Arguments after `unlearn`; defaults are filled in for what is absent. */
  readonly flags: () => Readonly<Record<string, string>>;
}

const hasTensorflow = await getEngine("tensorflow").then(
  () => true,
  () => false,
);

const refusals: readonly Refusal[] = [
  {
    name: "a truncated model",
    exitCode: 2,
    says: ["cut.onnx", /ends in the middle/],
    flags: () => ({ model: put("cut.onnx", readFileSync(MODEL).subarray(0, 30_000)) }),
  },
  {
    name: "a model that is not ONNX",
    exitCode: 2,
    says: ["text.onnx"],
    flags: () => ({ model: put("text.onnx", "this is no model") }),
  },
  {
    name: "an empty model file",
    exitCode: 2,
    says: ["empty.onnx", /empty/],
    flags: () => ({ model: put("empty.onnx", "") }),
  },
  {
    name: "a missing model",
    exitCode: 2,
    says: ["absent.onnx"],
    flags: () => ({ model: join(folder, "absent.onnx") }),
  },
  {
    name: "a model whose external data is missing",
    exitCode: 3,
    says: ['"w"', "weights.bin"],
    flags: () => ({
      model: put(
        "side.onnx",
        model(
          [{ opType: "MatMul", input: ["x", "w"], output: ["y"] }],
          [
            {
              name: "w",
              dims: [2, 2],
              dataType: 1,
              dataLocation: 1,
              externalData: [{ key: "location", value: "weights.bin" }],
            },
          ],
        ),
      ),
    }),
  },
  {
    name: "an unknown operator on the way from a weight to the logits",
    exitCode: 3,
    says: ["Sparkle", "glitter", "acme"],
    flags: () => ({
      model: put(
        "unknown.onnx",
        model([
          { opType: "MatMul", input: ["x", "w"], output: ["h"] },
          { opType: "Sparkle", domain: "acme", name: "glitter", input: ["h"], output: ["y"] },
        ]),
      ),
    }),
  },
  {
    name: "several possible logits",
    exitCode: 3,
    says: ["--logits", "y", "z"],
    flags: () => ({
      model: put(
        "heads.onnx",
        model(
          [
            { opType: "MatMul", input: ["x", "w"], output: ["y"] },
            { opType: "Mul", input: ["y", "y"], output: ["z"] },
          ],
          undefined,
          ["y", "z"],
        ),
      ),
    }),
  },
  {
    name: "no output to take logits from",
    exitCode: 3,
    says: [/logits|output/],
    flags: () => ({
      model: put(
        "headless.onnx",
        model([{ opType: "MatMul", input: ["x", "w"], output: ["y"] }], undefined, []),
      ),
    }),
  },
  {
    name: "--logits that name nothing",
    exitCode: 3,
    says: ["nothing"],
    flags: () => ({ logits: "nothing" }),
  },
  {
    name: "--train that matches nothing",
    exitCode: 3,
    says: ["nothing*"],
    flags: () => ({ train: "nothing*" }),
  },
  {
    name: "a label beyond the model's classes",
    exitCode: 2,
    says: ["f.npz", "sample 1", "12"],
    flags: () => ({
      forget: put("f.npz", encodeNpz({ ...images(2), y: { dtype: "int64", dims: [2], values: [0, 12] } })),
    }),
  },
  {
    name: "a negative label",
    exitCode: 2,
    says: ["f.npz", "sample 0", "-1"],
    flags: () => ({ forget: put("f.npz", encodeNpz(images(2, -1))) }),
  },
  {
    name: "a label beyond the model's classes in the test set",
    exitCode: 2,
    says: ["t.npz", "sample 0", "12"],
    flags: () => ({ test: put("t.npz", encodeNpz(images(1, 12))) }),
  },
  {
    name: "samples of another shape",
    exitCode: 2,
    says: ["f.npz", "[2, 1, 4, 4]", "8"],
    flags: () => ({
      forget: put(
        "f.npz",
        encodeNpz({
          ...images(2),
          x: { dtype: "float32", dims: [2, 1, 4, 4], values: new Array(32).fill(1) },
        }),
      ),
    }),
  },
  {
    name: "fewer samples than labels",
    exitCode: 2,
    says: ["f.npz", "3", "2"],
    flags: () => ({
      forget: put("f.npz", encodeNpz({ ...images(3), y: { dtype: "int64", dims: [2], values: [0, 1] } })),
    }),
  },
  {
    name: "an empty forget set",
    exitCode: 2,
    says: ["f.npz", "no samples"],
    flags: () => ({ forget: put("f.npz", encodeNpz(images(0))) }),
  },
  {
    name: "data without labels",
    exitCode: 2,
    says: ["f.npz", '"y"'],
    flags: () => ({ forget: put("f.npz", encodeNpz({ x: images(1)["x"]! })) }),
  },
  { name: "forget = retain", exitCode: 2, says: ["--allow-overlap"], flags: () => ({ retain: FORGET }) },
  {
    name: "one sample in both sets, under another label",
    exitCode: 2,
    says: ["Sample 1", "sample 2", "f.npz", "r.npz"],
    flags: () => ({
      // First pixels 0, 1 and 9, 8, 1.
      forget: put("f.npz", encodeNpz(images(2, 3))),
      retain: put("r.npz", encodeNpz(images(3, 4, (i) => [9, 8, 1][i]!))),
    }),
  },
  {
    name: "NaN in the data",
    exitCode: 2,
    says: ["f.npz", "sample 1", "NaN"],
    flags: () => ({
      forget: put("f.npz", encodeNpz(images(2, 0, (i) => (i === 1 ? Number.NaN : 0)))),
    }),
  },
  {
    name: "data that is no archive",
    exitCode: 2,
    says: ["f.npz", "numpy.savez"],
    flags: () => ({ forget: put("f.npz", "no zip") }),
  },
  {
    name: "missing data",
    exitCode: 2,
    says: ["gone.npz"],
    flags: () => ({ forget: join(folder, "gone.npz") }),
  },
  {
    name: "OUT = model",
    exitCode: 2,
    says: ["digits.onnx", "never overwritten"],
    flags: () => ({ out: MODEL }),
  },
  {
    name: "an OUT whose folder does not exist",
    exitCode: 2,
    says: ["absent", "create it"],
    flags: () => ({ out: join(folder, "absent", "x.onnx") }),
  },
  {
    name: "an OUT that exists, without --force",
    exitCode: 2,
    says: ["there.onnx", "--force"],
    flags: () => ({ out: put("there.onnx", "precious") }),
  },
  {
    // Root may write anywhere, but nobody may make files in /proc.
    name: "a folder that cannot be written",
    exitCode: 2,
    says: ["cannot be written"],
    flags: () => {
      if (process.getuid?.() === 0) return { out: "/proc/x.onnx" };
      const locked = join(folder, "locked");
      mkdirSync(locked);
      chmodSync(locked, 0o500);
      return { out: join(locked, "x.onnx") };
    },
  },
  {
    name: "a report over the model",
    exitCode: 2,
    says: ["digits.onnx", "--report"],
    flags: () => ({ report: MODEL }),
  },
  {
    name: "a report in no folder",
    exitCode: 2,
    says: ["absent", "create it"],
    flags: () => ({ report: join(folder, "absent", "r.json") }),
  },
  ...(hasTensorflow
    ? []
    : [
        {
          name: "the engine tensorflow where the user has not installed it",
          exitCode: 2,
          says: ["@tensorflow/tfjs-node", "npm install", "--engine onnxruntime"],
          flags: () => ({ engine: "tensorflow" }),
        },
      ]),
  ...(
    [
      ["lr", "fast", /number/],
      ["lr", "-1", /greater than 0/],
      ["batch-size", "0", /greater than 0/],
      ["threads", "1.5", /whole number/],
      ["epochs", "-1", /whole number/],
      ["std", "0", /greater than 0/],
      ["scale", "0", /greater than 0/],
      ["mean", "0.4,x", /number/],
      ["mean", "0.4,0.5", /1 channels/],
      ["method", "magic", /eupmu/],
      ["engine", "abacus", /onnxruntime/],
      ["epsilom", "1", /unknown option/],
    ] as const
  ).map(
    ([option, value, says]): Refusal => ({
      name: `--${option} ${value}`,
      exitCode: 2,
      says: [says, `--${option}`],
      flags: () => ({ [option]: value }),
    }),
  ),
];

test.each(refusals)("unlearn refuses $name", async ({ exitCode, says, flags }) => {
  const given = flags();
  const out = given["out"] ?? join(folder, "out.onnx");
  const all: Record<string, string> = {
    model: MODEL,
    forget: FORGET,
    retain: RETAIN,
    test: TEST,
    ...given,
    out,
  };
  const before = readdirSync(folder).sort();
  const contents = existsSync(out) ? hashOf(out) : undefined;
  // --force must not help against any of these but the existing output.
  const force = given["out"] === undefined || given["out"] === MODEL ? ["--force"] : [];
  const { code, stdout, stderr } = await run(
    "unlearn",
    ...SCALING,
    ...Object.entries(all).flatMap(([option, value]) => [`--${option}`, value]),
    ...force,
  );
  expect(code, stderr).toBe(exitCode);
  expect(stdout).toBe("");
  const lines = stderr.trim().split("\n");
  const sentence = lines[lines.length - 1]!;
  for (const words of says) {
    if (typeof words === "string") expect(sentence).toContain(words);
    else expect(sentence).toMatch(words);
  }
  expect(sentence, "a sentence").toMatch(/[.)]$/);
  expect(stderr, "no stack trace").not.toMatch(/\n\s+at /);
  expect(stderr, "not one training step").not.toContain("step ");
  expect(readdirSync(folder).sort(), "nothing written").toEqual(before);
  expect(existsSync(out) ? hashOf(out) : undefined, "what stood at OUT still stands").toBe(contents);
});

test("with --json a refusal is one document with a stable code", async () => {
  const { code, stdout, stderr } = await run("inspect", join(folder, "absent.onnx"), "--json");
  expect(code).toBe(2);
  const { error } = JSON.parse(stdout);
  expect(error).toMatchObject({ exitCode: 2, message: expect.stringContaining("absent.onnx") });
  expect(stderr).toContain(error.message);
});
