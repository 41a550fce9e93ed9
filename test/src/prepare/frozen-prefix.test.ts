import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { zipSync } from "fflate";
import { expect, test } from "vitest";
import { compileStep } from "../../../converters/compile/compile.ts";
import { examine } from "../../../converters/examine.ts";
import { readModel } from "../../../converters/onnx/read.ts";
import { DEFAULT_OPTIONS } from "../../../src/case/unlearn.ts";
import { relearn } from "../../../src/evaluate/relearn.ts";
import { behindPrefix, cutFrozen, withPrefix } from "../../../src/prepare/frozen-prefix.ts";
import { unlearn } from "../../../src/release/unlearn.ts";
import { ofClasses } from "../../../src/tasks/classification.ts";
import { train } from "../../../src/unlearn/train.ts";
import {
  deviation,
  floats,
  forward,
  load,
  model,
  node,
  numbers,
  runtime,
  value,
} from "../../converters/import/build.ts";

/** A tree with one split, x₀ ≤ 0, and two targets: ONNX Runtime runs it, no gradient passes. */
const trees = (): ReturnType<typeof node> => {
  const made = node(
    "TreeEnsembleRegressor",
    ["m"],
    ["trees"],
    {
      n_targets: 2,
      nodes_treeids: [0, 0, 0],
      nodes_nodeids: [0, 1, 2],
      nodes_featureids: [0, 0, 0],
      nodes_values: Float32Array.of(0, 0, 0),
      nodes_truenodeids: [1, 0, 0],
      nodes_falsenodeids: [2, 0, 0],
      target_treeids: [0, 0, 0, 0],
      target_nodeids: [1, 1, 2, 2],
      target_ids: [0, 1, 0, 1],
      target_weights: Float32Array.of(1, -2, 3, 0.5),
    },
    "ai.onnx.ml",
  );
  const modes = ["BRANCH_LEQ", "LEAF", "LEAF"].map((mode) => new TextEncoder().encode(mode));
  made.attribute!.push({ name: "nodes_modes", type: 8, strings: modes });
  return made;
};

const bytes = (weightsBefore: boolean, behind = true): Uint8Array =>
  model(
    {
      input: [value("x", ["n", 2])],
      output: [value("y", undefined)],
      node: [
        weightsBefore ? node("MatMul", ["x", "before"], ["m"]) : node("Identity", ["x"], ["m"]),
        trees(),
        ...(behind
          ? [node("Gemm", ["trees", "w", "b"], ["z"]), node("Softmax", ["z"], ["y"])]
          : [node("Identity", ["trees"], ["y"])]),
      ],
      initializer: [
        floats("w", [2, 3], numbers(6, 3)),
        floats("b", [3], numbers(3, 4)),
        floats("before", [2, 2], [1, 2, 3, 4]),
      ],
    },
    {
      opsetImport: [
        { domain: "", version: 17 },
        { domain: "ai.onnx.ml", version: 3 },
      ],
    },
  );

test.each([false, true])(
  "an operator that only ONNX Runtime knows is run once, weights before it: %s",
  async (before) => {
    const file = bytes(before);
    const imported = load(file);
    expect(imported.frontier).toEqual(["trees"]);
    expect(imported.parameters.filter((p) => p.trainable).map(({ name }) => name)).toEqual(["w", "b"]);
    const scale = imported.parameters.find(({ name }) => name === "before")!;
    if (before) expect(scale.frozenBecause).toMatch(/TreeEnsembleRegressor "trees" .* has no gradient here/);
    const data = numbers(10, 9);
    const set = {
      path: "",
      ...ofClasses(new Int32Array(5)),
      inputs: { x: { data: Float32Array.from(data), dims: [5, 2] } },
    };
    const computed = (await withPrefix(imported, set)).inputs["trees"]!;
    expect(computed.dims).toEqual([5, 2]);
    const wanted = await runtime(file, { x: { dims: [5, 2], data } }, "y");
    const seen = load(file, { logits: "y" });
    const ours = await forward(seen, { trees: { dims: [5, 2], data: [...computed.data] } });
    expect(deviation(ours, wanted)).toBeLessThan(1e-5);
    const uses = examine(readModel(file)).operators;
    expect(uses.find(({ operator }) => operator === "TreeEnsembleRegressor")).toMatchObject({
      mark: "frozen",
      because: "run by ONNX Runtime before training",
    });
  },
);

test("with no weight behind it the operator is refused by name", () => {
  expect(() => load(bytes(true, false))).toThrow(/TreeEnsembleRegressor "trees"/);
});

test("such a model relearns: its step takes what ONNX Runtime makes of the samples", async () => {
  const set = {
    path: "",
    ...ofClasses(Int32Array.from({ length: 8 }, (_, i) => Number(i % 2 === 0))),
    inputs: { x: { data: Float32Array.from({ length: 16 }, (_, i) => (i % 4 < 2 ? 1 : -1)), dims: [8, 2] } },
  };
  const options = { target: 1, lr: 0.5, batchSize: 8, maxSteps: 50, seed: 0, threads: 1 };
  const { accuracy, steps } = await relearn(load(bytes(true)), set, options);
  expect(accuracy[0]).toBeLessThan(1);
  expect(steps).not.toBeNull();
});

test("such a model goes the whole road", async () => {
  const folder = mkdtempSync(join(tmpdir(), "onnx-prefix-"));
  const npy = (descr: string, shape: string, data: Uint8Array) => {
    const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape}), }`.padEnd(118);
    return Uint8Array.from([
      0x93,
      ...new TextEncoder().encode("NUMPY"),
      1,
      0,
      header.length,
      0,
      ...new TextEncoder().encode(header),
      ...data,
    ]);
  };
  const put = (name: string, count: number, seed: number) => {
    const x = new Uint8Array(Float32Array.from(numbers(2 * count, seed)).buffer);
    const y = new Uint8Array(Int32Array.from({ length: count }, (_, i) => i % 3).buffer);
    const path = join(folder, name);
    writeFileSync(
      path,
      zipSync({ "x.npy": npy("<f4", `${count}, 2`, x), "y.npy": npy("<i4", `${count},`, y) }),
    );
    return path;
  };
  const path = join(folder, "model.onnx");
  writeFileSync(path, bytes(true));
  const document = await unlearn({
    model: path,
    forget: put("forget.npz", 20, 1),
    retain: put("retain.npz", 60, 2),
    out: join(folder, "out.onnx"),
    options: { method: "eupmu", epochs: 2, lr: 0.05, batchSize: 16, threads: 1 },
  });
  expect(document.export.changedTensors.length).toBeGreaterThan(0);
  expect(document.export.parity.maxAbsDiff).toBeLessThan(1e-5);
});

/** Two convolutions and a classifier. */
const convolutions = (): Uint8Array =>
  model({
    input: [value("x", ["n", 2, 6, 6])],
    output: [value("y", undefined)],
    node: [
      node("Conv", ["x", "w1"], ["a"], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
      node("Relu", ["a"], ["b"]),
      node("Conv", ["b", "w2"], ["c"], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
      node("Add", ["c", "b"], ["d"]),
      node("GlobalAveragePool", ["d"], ["e"]),
      node("Flatten", ["e"], ["f"]),
      node("Gemm", ["f", "w3", "b3"], ["y"]),
    ],
    initializer: [
      floats("w1", [4, 2, 3, 3], numbers(72, 1)),
      floats("w2", [4, 4, 3, 3], numbers(144, 2)),
      floats("w3", [4, 3], numbers(12, 3)),
      floats("b3", [3], numbers(3, 4)),
    ],
  });

const samplesOf = (count: number, seed: number, path = "") => ({
  path,
  ...ofClasses(Int32Array.from({ length: count }, (_, i) => i % 3)),
  inputs: { x: { data: Float32Array.from(numbers(count * 72, seed)), dims: [count, 2, 6, 6] } },
});

test("a frozen beginning is computed once per sample, and training goes the same way", async () => {
  const options = { train: ["w2", "w3", "b3"] };
  const whole = load(convolutions(), options);
  const sets = [samplesOf(11, 5, "forget"), samplesOf(30, 6, "retain")] as const;
  const cut = await cutFrozen(whole, sets);
  expect(cut.frontier).toEqual(["b"]);
  expect(behindPrefix(cut).inputs.map(({ name }) => name)).toEqual(["b"]);
  expect(cut.parameters).toEqual(whole.parameters);
  const run = async (trained: typeof whole) => {
    const [forget, retain] = [await withPrefix(trained, sets[0]), await withPrefix(trained, sets[1])];
    return train({
      model: behindPrefix(trained),
      forget,
      retain,
      options: { ...DEFAULT_OPTIONS, epochs: 2, lr: 0.05, batchSize: 8, threads: 1 },
    });
  };
  const [once, again] = [await run(cut), await run(whole)];
  for (const [name, weights] of again.weights)
    expect(deviation([...once.weights.get(name)!], [...weights])).toBeLessThan(1e-5);
});

test("nothing is cut where all is trained, or no weight stands before what is", async () => {
  const sets = [samplesOf(4, 5)] as const;
  const all = load(convolutions());
  expect(await cutFrozen(all, sets)).toBe(all);
  const first = load(convolutions(), { train: ["w1"] });
  expect(await cutFrozen(first, sets)).toBe(first);
});

test("a frozen beginning has no gradient in the compiled step", () => {
  const convolutionsOf = (names: string[]) => {
    const { apply } = load(convolutions(), { train: names });
    const shapes: Record<string, number[]> = { w1: [4, 2, 3, 3], w2: [4, 4, 3, 3] };
    const { nodeCounts } = compileStep(
      (carry, { x }) => {
        const { value: sum, grads } = tf.valueAndGrads((...weights: tf.Tensor[]) =>
          tf.sum(apply(Object.fromEntries(names.map((name, i) => [name, weights[i]!])), { x: x! })),
        )(names.map((name) => carry[name]!));
        return { carry: Object.fromEntries(names.map((name, i) => [name, grads[i]!])), results: { sum } };
      },
      {
        carry: Object.fromEntries(names.map((name) => [name, { shape: shapes[name]!, dtype: "float32" }])),
        batch: { x: { shape: [2, 2, 6, 6], dtype: "float32" } },
      },
    );
    return nodeCounts["Conv"];
  };
  // Two forward and one per trained weight; one more for what lies between two trained weights.
  expect(convolutionsOf(["w2"])).toBe(3);
  expect(convolutionsOf(["w1", "w2"])).toBe(5);
});
