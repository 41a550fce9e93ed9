// Numbers that are none: in the weights, in the answers of the shipped file, in data.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { onnx as Onnx } from "onnx-proto";
import { expect, test } from "vitest";
import { encodeNpz } from "../../../src/data/npz.ts";
import { floats, model, node, numbers, value } from "../../converters/import/build.ts";
import { run, temporary } from "./cli.ts";

const folder = temporary();
const put = (name: string, bytes: Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};
/** x [N, 4] → Log, MatMul w [4, 3], Add b [3] → logits [N, 3]. */
const logOfData = (initializer: Onnx.ITensorProto[]): string =>
  put(
    "model.onnx",
    model({
      input: [value("x", ["N", 4])],
      output: [value("y", ["N", 3])],
      node: [node("Log", ["x"], ["l"]), node("MatMul", ["l", "w"], ["h"]), node("Add", ["h", "b"], ["y"])],
      initializer,
    }),
  );
const W = floats("w", [4, 3], numbers(12, 2));
const B = floats("b", [3], numbers(3, 3));
/** Samples from 1 on; those at `negative` have a logarithm that is no number. */
const data = (name: string, count: number, negative: readonly number[] = []): string =>
  put(
    name,
    encodeNpz({
      x: {
        dtype: "float32",
        dims: [count, 4],
        values: Array.from({ length: count * 4 }, (_, i) =>
          negative.includes(Math.floor(i / 4)) ? -1 : 1 + name.length + i,
        ),
      },
      y: { dtype: "int64", dims: [count], values: new Array<number>(count).fill(2) },
    }),
  );
const sets = (negative: readonly number[] = []) => [
  ...["--forget", data("forget.npz", 6)],
  ...["--retain", data("retained.npz", 12, negative)],
];
const with_ = ({ rawData, ...tensor }: Onnx.ITensorProto, at: number, of: number): Onnx.ITensorProto => {
  const values = new Float32Array(rawData!.slice().buffer);
  values[at] = of;
  return { ...tensor, rawData: new Uint8Array(values.buffer) };
};
const doubles = (name: string, dims: number[], doubleData: number[]): Onnx.ITensorProto => ({
  ...{ name, dims, dataType: 11, doubleData },
});

test("a NaN among the weights: inspect, evaluate, unlearn and diff refuse alike, naming tensor and count", async () => {
  const path = logOfData([with_(with_(W, 5, Number.NaN), 7, Number.NaN), B]);
  const says = /"w": 2 of its 12 values are NaN/;
  const inspected = await run("inspect", path, "--json");
  expect(JSON.parse(inspected.stdout)).toMatchObject({
    trainable: false,
    refusal: { code: "WEIGHT_NOT_FINITE", message: expect.stringMatching(says) },
  });
  for (const command of [
    ["evaluate", "--model", path, ...sets()],
    ["unlearn", "--model", path, ...sets(), "--out", join(folder, "out.onnx")],
    ["diff", path, path, ...sets()],
  ]) {
    const { code, stderr } = await run(...command);
    expect(code, stderr).toBe(3);
    expect(stderr).toMatch(says);
  }
});

test("a NaN in an unused tensor is a note", async () => {
  const path = put(
    "unused.onnx",
    model({
      input: [value("x", ["N", 4])],
      output: [value("y", ["N", 3]), value("z", ["N", 3])],
      node: [node("MatMul", ["x", "w"], ["y"]), node("MatMul", ["x", "v"], ["z"])],
      initializer: [W, { ...with_(W, 0, Number.NaN), name: "v" }],
    }),
  );
  const { code, stdout } = await run("inspect", path, "--logits", "y", "--json");
  expect(code).toBe(0);
  expect(JSON.parse(stdout).trainable).toBe(true);
});

test("−∞ is how masks rule something out: such a tensor stays as it is", async () => {
  const path = logOfData([W, floats("b", [3], [0, Number.NEGATIVE_INFINITY, 0])]);
  const { stdout } = await run("inspect", path, "--json");
  expect(JSON.parse(stdout).parameters).toContainEqual(
    expect.objectContaining({ name: "b", trainable: false, frozenBecause: "holds infinity, as masks do" }),
  );
  const { code, stderr } = await run("evaluate", "--model", path, ...sets());
  expect(code, stderr).toBe(0);
});

test("a double that float32 cannot hold is said to be one", async () => {
  const DOUBLE = 11;
  const path = put(
    "double.onnx",
    model({
      input: [value("x", ["N", 4], DOUBLE)],
      output: [value("y", ["N", 3], DOUBLE)],
      node: [node("MatMul", ["x", "w"], ["y"])],
      initializer: [doubles("w", [4, 3], [1e39, ...numbers(11, 2)])],
    }),
  );
  for (const command of [
    ["inspect", path],
    ["unlearn", "--model", path, ...sets(), "--out", join(folder, "out.onnx")],
  ]) {
    const { code, stdout, stderr } = await run(...command);
    expect(code, stderr).toBe(3);
    expect(stdout + stderr).toMatch(
      /"w": 1 of its 12 values \(1e\+39 the first\) is beyond the range of float32/,
    );
  }
});

test("answers of the shipped file that are no numbers are named by sample", async () => {
  const path = logOfData([W, B]);
  const says = /on 7 of 12 samples of .*retained\.npz \(1, 3, 4, 5, 6 and 2 more\)/;
  for (const command of [
    ["evaluate", "--model", path],
    ["unlearn", "--model", path, "--out", join(folder, "out.onnx")],
    ["diff", path, path],
  ]) {
    const { code, stderr } = await run(...command, ...sets([1, 3, 4, 5, 6, 7, 8]));
    expect(code, stderr).toBe(2);
    expect(stderr).toMatch(says);
  }
});

test("data that float32 cannot hold once scaled are named by sample", async () => {
  const { code, stderr } = await run("evaluate", "--model", logOfData([W, B]), ...sets(), "--scale", "1e-38");
  expect(code).toBe(2);
  expect(stderr).toMatch(
    /forget\.npz: array "x": sample \d+ holds \d+, which is beyond the range of float32/,
  );
});
