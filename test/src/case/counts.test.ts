// Nothing is done twice in a pipeline run: counters stand in front of the functions that read, import and
// infer.
import { copyFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect, test, vi } from "vitest";
import { stringify } from "yaml";
import type { TrainableModel } from "../../../converters/import/model.ts";
import type { OnnxModel } from "../../../converters/onnx/model.ts";
import type { Dataset } from "../../../src/data/types.ts";
import { FORGET, MODEL, RETAIN, RETRAINED, run, TEST, temporary } from "../cli/cli.ts";

const calls: Record<"read" | "import" | "npz" | "infer", string[]> = {
  read: [],
  import: [],
  npz: [],
  infer: [],
};
/** A model by the file it was read from; the new one has none yet. */
const called = ({ path }: OnnxModel): string => (path === undefined ? "AFTER" : basename(path));

vi.mock("../../../converters/onnx/read.ts", async (original) => {
  const actual = await original<typeof import("../../../converters/onnx/read.ts")>();
  return {
    ...actual,
    loadModelFile: (path: string) => {
      calls.read.push(basename(path));
      return actual.loadModelFile(path);
    },
  };
});
vi.mock("../../../converters/importer.ts", async (original) => {
  const actual = await original<typeof import("../../../converters/importer.ts")>();
  return {
    ...actual,
    importModel: (source: OnnxModel, options: object) => {
      calls.import.push(called(source));
      return actual.importModel(source, options);
    },
  };
});
vi.mock("../../../src/data/npz.ts", async (original) => {
  const actual = await original<typeof import("../../../src/data/npz.ts")>();
  return {
    ...actual,
    readNpz: (path: string) => {
      calls.npz.push(basename(path));
      return actual.readNpz(path);
    },
  };
});
vi.mock("../../../src/evaluate/predict.ts", async (original) => {
  const actual = await original<typeof import("../../../src/evaluate/predict.ts")>();
  return {
    ...actual,
    predictWith: (session: never, model: TrainableModel, set: Dataset, signal: AbortSignal) => {
      calls.infer.push(`${called(model.source)} on ${basename(set.path)}`);
      return actual.predictWith(session, model, set, signal);
    },
  };
});

test("a run with gates, reference, budget and receipt reads, imports and infers everything once", async () => {
  const folder = temporary();
  for (const [from, to] of [
    [MODEL, "shipped.onnx"],
    [RETRAINED, "retrained.onnx"],
    [FORGET, "forget.npz"],
    [RETAIN, "retain.npz"],
    [TEST, "test.npz"],
  ] as const)
    copyFileSync(from, join(folder, to));
  const pipeline = {
    model: "shipped.onnx",
    out: "scrubbed.onnx",
    data: { forget: "forget.npz", retain: "retain.npz", test: "test.npz", scale: 16, mean: 0.5, std: 0.5 },
    reference: "retrained.onnx",
    threads: 1,
    unlearn: { budget: "0.5pp", epochs: 2, batchSize: 64 },
    gates: { metrics: { averageGap: { max: 0.6 } }, structure: { identical: true } },
    reports: { html: "report.html", markdown: "report.md", junit: "junit.xml" },
    receipt: { key: "receipt.key" },
  };
  writeFileSync(join(folder, "pipeline.yaml"), stringify(pipeline));
  const { code, stderr } = await run("run", join(folder, "pipeline.yaml"));
  expect(code, stderr).toBe(0);
  expect(calls.read.sort()).toEqual(["retrained.onnx", "shipped.onnx"]);
  expect(calls.import.sort()).toEqual(["AFTER", "retrained.onnx", "shipped.onnx"]);
  expect(calls.npz.sort()).toEqual(["forget.npz", "retain.npz", "test.npz"]);
  // The withheld tenth of the retained set is a set of its own: the budget is held on it.
  const sets = ["forget.npz", "retain.npz", "retain.npz (withheld)", "test.npz"];
  expect(calls.infer.sort()).toEqual(
    ["AFTER", "retrained.onnx", "shipped.onnx"].flatMap((model) => sets.map((set) => `${model} on ${set}`)),
  );
});
