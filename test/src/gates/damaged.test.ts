import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { onnx as Onnx } from "onnx-proto";
import pkg from "onnx-proto";
import { expect, test } from "vitest";
import { importModel } from "../../../converters/importer.ts";
import { loadModelFile } from "../../../converters/onnx/read.ts";
import type { DiffDocument } from "../../../src/case/compare.ts";
import { loadDataset } from "../../../src/data/dataset.ts";
import { encodeNpz, readNpz } from "../../../src/data/npz.ts";
import { firstSamples } from "../../../src/data/sets.ts";
import { interleaved } from "../../../src/evaluate/latency.ts";
import { predict } from "../../../src/evaluate/predict.ts";
import { measureGolden } from "../../../src/gates/golden.ts";
import { judge } from "../../../src/gates/judge.ts";
import { gatesSchema } from "../../../src/gates/schema.ts";
import { FORGET, MODEL, RETAIN, run, SCALING, TEST, temporary } from "../cli/cli.ts";

const { onnx } = pkg;
const folder = temporary();
const gates = join(folder, "gates.yaml");
writeFileSync(
  gates,
  `metrics:
  testAccuracy: { maxDrop: 0.5pp }
  retainAgreement: { min: 0.999 }
perClass:
  test: { maxDrop: 5pp }
structure:
  identical: true
  onlyTensors: ["11.*"]
  golden: { samples: ${JSON.stringify(TEST)}, tolerance: 1e-4 }
`,
);

/** A float initializer of the model, to be changed in place. */
function weights(model: Onnx.IModelProto, name: string): Float32Array {
  const tensor = model.graph!.initializer!.find((t) => t.name === name)!;
  const values = new Float32Array(new Uint8Array(tensor.rawData!).buffer);
  tensor.rawData = new Uint8Array(values.buffer);
  return values;
}

/** BEFORE with something done to it. */
function damaged(name: string, damage: (model: Onnx.IModelProto) => void): string {
  const model = onnx.ModelProto.decode(readFileSync(MODEL));
  damage(model);
  const path = join(folder, `${name}.onnx`);
  writeFileSync(path, onnx.ModelProto.encode(model).finish());
  return path;
}

// Encoding again reorders fields: BEFORE goes through it too, so that the damage is the only difference.
const before = damaged("before", () => {});

async function check(after: string) {
  const { code, stdout } = await run(
    "diff",
    before,
    after,
    ...["--forget", FORGET, "--retain", RETAIN, "--test", TEST, "--gates", gates, "--threads", "1"],
    ...SCALING,
    "--json",
  );
  const document = JSON.parse(stdout) as DiffDocument;
  const failed = document.gates!.checks.filter(({ status }) => status === "failed");
  return {
    code,
    verdict: document.gates!.verdict,
    failed: failed.map(({ name }) => name),
    checks: document.gates!.checks,
  };
}

test("an undamaged model passes every gate", async () => {
  const { code, verdict, failed } = await check(before);
  expect(failed).toEqual([]);
  expect(verdict).toBe("passed");
  expect(code).toBe(0);
});

test("one class broken: the class is named", async () => {
  const { code, failed, checks } = await check(
    damaged("class", (model) => {
      weights(model, "11.bias")[3] = -1000;
    }),
  );
  expect(code).toBe(1);
  expect(failed).toContain("perClass.test.maxDrop");
  expect(failed).toContain("metrics.testAccuracy.maxDrop");
  expect(failed).not.toContain("structure.identical");
  const sentence = checks.find(({ name }) => name === "perClass.test.maxDrop")!.sentence;
  expect(sentence).toMatch(/^1 of 10 classes .*class 3 /);
});

test("two outputs swapped: both classes and the golden samples", async () => {
  const { code, failed, checks } = await check(
    damaged("swapped", (model) => {
      const [weight, bias] = [weights(model, "11.weight"), weights(model, "11.bias")];
      const row = weight.slice(3 * 512, 4 * 512);
      weight.copyWithin(3 * 512, 8 * 512, 9 * 512);
      weight.set(row, 8 * 512);
      [bias[3], bias[8]] = [bias[8]!, bias[3]!];
    }),
  );
  expect(code).toBe(1);
  expect(failed).toContain("structure.golden");
  const sentence = checks.find(({ name }) => name === "perClass.test.maxDrop")!.sentence;
  expect(sentence).toMatch(/class 3 .*class 8 /);
});

test("an extra node: the structure gate, and no other", async () => {
  const { code, failed, checks } = await check(
    damaged("node", (model) => {
      const nodes = model.graph!.node!;
      nodes[nodes.length - 1]!.output = ["inner"];
      nodes.push({ opType: "Identity", name: "extra", input: ["inner"], output: ["logits"] });
    }),
  );
  expect(code).toBe(1);
  expect(failed).toEqual(["structure.identical"]);
  expect(checks.find(({ name }) => name === "structure.identical")!.sentence).toContain("number of nodes");
});

test("a NaN weight: the tensor is named", async () => {
  const { code, failed, checks } = await check(
    damaged("nan", (model) => {
      weights(model, "11.weight")[0] = Number.NaN;
    }),
  );
  expect(code).toBe(1);
  expect(failed).toContain("finite.weights");
  expect(failed).toContain("finite.outputs");
  expect(checks.find(({ name }) => name === "finite.weights")!.sentence).toContain("11.weight");
});

test("a weight changed that is not listed: the tensor is named", async () => {
  const { failed, checks } = await check(
    damaged("tensor", (model) => {
      const bias = weights(model, "onnx::Conv_35");
      bias[0] = bias[0]! + 1e-6;
    }),
  );
  expect(failed).toEqual(["structure.onlyTensors"]);
  expect(checks.find(({ name }) => name === "structure.onlyTensors")!.sentence).toContain("onnx::Conv_35");
});

test("golden samples with recorded outputs: held to those, not to BEFORE's", async () => {
  const arrays = await readNpz(TEST);
  const { dims, data } = arrays.get("x")!;
  const count = 6;
  const model = importModel(loadModelFile(MODEL));
  const set = firstSamples(
    await loadDataset(TEST, model.inputs, { scale: 16, mean: [0.5], std: [0.5] }),
    count,
  );
  const { raw } = await predict(model, set, { threads: 1 });
  const file = (shift: number, outputs = raw.length) => {
    const path = join(temporary(), "golden.npz");
    const recorded = Array.from(raw.subarray(0, outputs), (v, i) => v + (i === 0 ? shift : 0));
    writeFileSync(
      path,
      encodeNpz({
        x: {
          dtype: "uint8",
          dims: [count, ...dims.slice(1)],
          values: Array.from(data.subarray(0, count * 64), Number),
        },
        y: { dtype: "int64", dims: [count], values: Array.from(set.truth.data) },
        logits: { dtype: "float32", dims: [outputs], values: recorded },
      }),
    );
    return path;
  };
  const measure = (path: string) =>
    measureGolden(
      path,
      { before: model, after: model },
      {
        preprocessing: { scale: 16, mean: [0.5], std: [0.5] },
        threads: 1,
      },
    );
  expect(await measure(file(0))).toEqual({ maxAbsDiff: 0, samples: count, against: "recorded outputs" });
  expect((await measure(file(0.25))).maxAbsDiff).toBeCloseTo(0.25, 5);
  await expect(measure(file(0, 30))).rejects.toThrow(/array "logits" holds 30 outputs, AFTER gives 60/);
});

test("twice as slow: the latency gate", async () => {
  let now = 0;
  const takes = (milliseconds: number) => async () => {
    now += milliseconds;
  };
  const measured = await interleaved({ before: takes(3), after: takes(6) }, () => now);
  expect(measured).toEqual({ before: 3, after: 6, ratio: 2, rounds: 30 });
  const rules = gatesSchema.parse({ latency: { maxRatio: 1.5 } });
  const judged = {
    figures: {},
    perClass: {},
    also: {},
    structure: { identical: true, differences: [], changedTensors: [] },
    weights: { tensors: [], relative: 0 },
    golden: null,
  };
  const slow = judge({ ...judged, latency: { ...measured, batch: 1 } }, rules);
  expect(slow.verdict).toBe("failed");
  expect(slow.checks.filter(({ status }) => status === "failed").map(({ name }) => name)).toEqual([
    "latency.maxRatio",
  ]);
  // A slow model gets fewer rounds, five at least.
  now = 0;
  const long = await interleaved({ before: takes(4000), after: takes(4000) }, () => now);
  expect(long.rounds).toBe(5);
  expect(judge({ ...judged, latency: { ...long, batch: 1 } }, rules).verdict).toBe("passed");
});
