import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { onnx as Onnx } from "onnx-proto";
import pkg from "onnx-proto";
import { expect, test } from "vitest";
import { importModel } from "../../../converters/importer.ts";
import { loadModelFile } from "../../../converters/onnx/read.ts";
import type { DiffDocument } from "../../../src/case/compare.ts";
import { loadDataset } from "../../../src/data/dataset.ts";
import { encodeNpz } from "../../../src/data/npz.ts";
import { relearn } from "../../../src/evaluate/relearn.ts";
import { weightChanges } from "../../../src/evaluate/weights.ts";
import { FORGET, MODEL, RETAIN, RETRAINED, run, SCALING, TEST, temporary } from "../cli/cli.ts";

const { onnx } = pkg;
const folder = temporary();
const SETS = ["--forget", FORGET, "--retain", RETAIN, "--test", TEST, ...SCALING, "--threads", "1"];
const diff = async (before: string, after: string, ...argv: string[]) => {
  const { code, stdout } = await run("diff", before, after, ...SETS, ...argv, "--json");
  return { code, stdout, document: JSON.parse(stdout) as DiffDocument };
};

/** A folder of shadow models that saw all of the forget set or none of it. */
function shadowFolder(models: readonly { file: string; forget: 0 | 1; unlearned?: boolean }[]): string {
  const at = temporary();
  const entries = models.map(({ file, forget, unlearned }, i) => {
    copyFileSync(file, join(at, `${i}.onnx`));
    const values = new Array<number>(150).fill(forget);
    writeFileSync(join(at, `${i}.npz`), encodeNpz({ forget: { dtype: "int64", dims: [150], values } }));
    return { file: `${i}.onnx`, members: `${i}.npz`, ...(unlearned ? { unlearned } : {}) };
  });
  writeFileSync(join(at, "shadows.json"), JSON.stringify({ models: entries }));
  return at;
}

test("shadow models: a file that was trained on the forget set is found by LiRA, one that was not is not", async () => {
  // BEFORE itself stands for "in", the retrained model for "out": the sharpest shadows there are.
  const at = shadowFolder([
    { file: MODEL, forget: 1 },
    { file: RETRAINED, forget: 0 },
  ]);
  const { document } = await diff(MODEL, RETRAINED, "--shadow", at);
  const { liraAuc, uLiraAuc, rmiaAuc } = document.figures;
  expect(liraAuc!.before!).toBeGreaterThan(0.99);
  // Exactly as likely as to the "out" model, as every test sample is: nothing tells them apart.
  expect(liraAuc!.after!).toBeLessThan(0.6);
  expect(uLiraAuc!.after).toBeNull();
  expect(uLiraAuc!.reason).toContain("shadow");
  expect(rmiaAuc!.before!).toBeGreaterThan(rmiaAuc!.after!);
});

test.each([
  ["no manifest", {}, /cannot be read \(ENOENT\)/],
  ["not JSON", { "shadows.json": "{" }, /not JSON/],
  ["an unknown key", { "shadows.json": '{"models":[{"file":"a","members":"b","unlearnt":true}]}' }, /models/],
  [
    "members of another set",
    {
      "shadows.json": '{"models":[{"file":"a.onnx","members":"m.npz"}]}',
      "m.npz": encodeNpz({ forget: { dtype: "int64", dims: [3], values: [1, 0, 1] } }),
    },
    /3 values for 150 samples/,
  ],
])("shadow folder with %s: a sentence", async (_, files, sentence) => {
  const at = temporary();
  for (const [name, content] of Object.entries(files)) writeFileSync(join(at, name), content);
  const { code, stdout } = await diff(MODEL, MODEL, "--shadow", at);
  expect(code).toBe(2);
  expect(JSON.parse(stdout).error.message).toMatch(sentence);
  expect(JSON.parse(stdout).error.message).toContain("docs/evaluation.md");
});

test("relearning: who knows the labels needs no step, who never saw them needs many; the seed repeats it", async () => {
  const open = (path: string) => importModel(loadModelFile(path));
  const forget = await loadDataset(FORGET, open(MODEL).inputs, { scale: 16, mean: [0.5], std: [0.5] });
  const options = { target: 0.1, lr: 0.1, batchSize: 32, maxSteps: 100, seed: 1, threads: 1 };
  expect(await relearn(open(MODEL), forget, options)).toMatchObject({
    steps: 0,
    accuracy: [1],
    measured: 150,
  });
  const unseen = await relearn(open(RETRAINED), forget, options);
  expect(unseen.accuracy[0]).toBe(0);
  expect(unseen.steps).toBeGreaterThan(3);
  expect(unseen.accuracy.at(-1)).toBeGreaterThanOrEqual(0.1);
  expect(unseen.accuracy).toHaveLength(unseen.steps! + 1);
  expect(await relearn(open(RETRAINED), forget, options)).toEqual(unseen);
  expect(await relearn(open(RETRAINED), forget, { ...options, maxSteps: 2 })).toMatchObject({ steps: null });
});

test("a file that hands out labels only: accuracies are measured, the rest says why not", async () => {
  const model = onnx.ModelProto.decode(readFileSync(MODEL));
  const nodes = model.graph!.node!;
  nodes[nodes.length - 1]!.output = ["scores"];
  nodes.push({
    opType: "ArgMax",
    input: ["scores"],
    output: ["logits"],
    attribute: [
      { name: "axis", type: onnx.AttributeProto.AttributeType.INT, i: 1 },
      { name: "keepdims", type: onnx.AttributeProto.AttributeType.INT, i: 0 },
    ],
  } as Onnx.INodeProto);
  model.graph!.output = [
    { name: "logits", type: { tensorType: { elemType: 7, shape: { dim: [{ dimParam: "batch" }] } } } },
  ];
  const path = join(folder, "labels.onnx");
  writeFileSync(path, onnx.ModelProto.encode(model).finish());
  const { code, document, stdout } = await diff(path, path, "--logits", "scores");
  expect(code, stdout).toBe(0);
  expect(document.figures.forgetAccuracy!.after).toBe(1);
  expect(document.figures.testAgreement!.after).toBe(1);
  for (const metric of ["testLoss", "testKl", "testCalibrationError", "miaAuc", "miaEfficacy"] as const) {
    expect(document.figures[metric]!.after, metric).toBeNull();
    expect(document.figures[metric]!.reason).toContain("labels only");
  }
  expect(document.leak.after.verdict).toBe("not measured");
});

test("norms of changes: closed form, and what is no number is counted", () => {
  const parameter = (name: string, ...values: number[]) => ({
    name,
    dims: [values.length],
    dtype: "float32" as const,
    data: Float32Array.from(values),
    trainable: true,
    frozenBecause: undefined,
  });
  const before = [parameter("a", 3, 4), parameter("b", 1, 1), parameter("gone", 1)];
  const { tensors, relative } = weightChanges(before, [
    parameter("a", 3, 4.5),
    parameter("b", 1, 1),
    parameter("new", 1),
  ]);
  expect(tensors).toEqual([
    { name: "a", elements: 2, changedElements: 1, norm: 5, changeNorm: 0.5, nonFinite: 0 },
  ]);
  // ‖(3, 4, 1, 1)‖ = √27.
  expect(relative).toBeCloseTo(0.5 / Math.sqrt(27), 12);
  const broken = weightChanges(before, [parameter("a", Number.NaN, 4)]);
  expect(broken.relative).toBeNull();
  expect(broken.tensors[0]).toMatchObject({ changeNorm: null, nonFinite: 1 });
});
