import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { OnnxValueInfo } from "../../../converters/onnx/model.ts";
import { loadDataset } from "../../../src/data/dataset.ts";
import { encodeNpz, type NpzInput } from "../../../src/data/npz.ts";
import { findOverlap } from "../../../src/data/overlap.ts";
import { temporary } from "../cli/cli.ts";

const folder = temporary();
let files = 0;
function put(arrays: Readonly<Record<string, NpzInput>>): string {
  const path = join(folder, `${files++}.npz`);
  writeFileSync(path, encodeNpz(arrays));
  return path;
}
const input = (dims: readonly (number | undefined)[], dtype: OnnxValueInfo["dtype"] = "float32") =>
  ({ name: "x", dtype, dims }) as OnnxValueInfo;
const labels = (...values: number[]): NpzInput => ({ dtype: "int64", dims: [values.length], values });

// One sample of two channels and 1x2 pixels; x' = (x / 10 − mean) / std with mean 1, 2 and std 2, 4.
const how = { scale: 10, mean: [1, 2], std: [2, 4] };
test.each([
  // Channels first: 10, 30 are of channel 0; 20, 60 of channel 1.
  ["NCHW", [1, 2, 1, 2], [10, 30, 20, 60], [0, 1, 0, 1]],
  ["features", [1, 2], [10, 60], [0, 1]],
  ["one sequence of two channels", [1, 2, 2], [10, 30, 20, 60], [0, 1, 0, 1]],
] as const)("%s: scale, mean and std go along the right axis", async (_, dims, values, wanted) => {
  const path = put({ x: { dtype: "uint8", dims, values }, y: labels(0) });
  const { inputs } = await loadDataset(path, [input([undefined, ...dims.slice(1)])], how);
  expect(Array.from(inputs["x"]!.data)).toEqual(wanted);
});

test("NHWC: the channel axis is the last where only it is small", async () => {
  // 1x8x8 pixels of 3 channels: x = channel index, so x' = (c − c) / 1 = 0 everywhere.
  const values = Array.from({ length: 8 * 8 * 3 }, (_, i) => i % 3);
  const path = put({ x: { dtype: "uint8", dims: [1, 8, 8, 3], values }, y: labels(0) });
  const how = { scale: 1, mean: [0, 1, 2], std: [1, 1, 1] };
  const { inputs } = await loadDataset(path, [input([undefined, 8, 8, 3])], how);
  expect(inputs["x"]!.data.every((v) => v === 0)).toBe(true);
});

test("integer inputs are never scaled", async () => {
  const path = put({ x: { dtype: "int64", dims: [2, 2], values: [1, 2, 3, 4] }, y: labels(0, 1) });
  const { inputs } = await loadDataset(path, [input([undefined, 2], "int64")], how);
  expect(inputs["x"]!.data).toEqual(Int32Array.of(1, 2, 3, 4));
});

test("targets of a regression may be wider than 32 bits", async () => {
  const values = [2 ** 31, -(2 ** 40)];
  const path = put({
    x: { dtype: "float32", dims: [2, 1], values: [0, 1] },
    y: { dtype: "int64", dims: [2], values },
  });
  const { truth } = await loadDataset(path, [input([undefined, 1])], undefined, "mse");
  expect(Array.from(truth.data)).toEqual(values);
});

test.each([
  ["an input beyond 32 bits", [7, 2 ** 31], [0, 1], "VALUE_RANGE", "sample 1 holds 2147483648"],
  ["a label beyond 32 bits", [7, 8], [2 ** 32, 1], "LABEL_RANGE", "sample 0 has label 4294967296"],
  ["a negative label", [7, 8], [0, -1], "LABEL_RANGE", "sample 1 has label -1"],
] as const)("%s is refused, not wrapped round", async (_, x, y, code, message) => {
  const path = put({ x: { dtype: "int64", dims: [2, 1], values: x }, y: labels(...y) });
  await expect(loadDataset(path, [input([undefined, 1], "int64")])).rejects.toThrow(
    expect.objectContaining({ code, exitCode: 2, message: expect.stringContaining(message) }),
  );
});

test("overlap is found by the inputs alone, whatever the labels", async () => {
  const sets = [
    { x: { dtype: "float32", dims: [3, 2], values: [1, 2, 3, 4, 5, 6] }, y: labels(0, 0, 0) },
    { x: { dtype: "float32", dims: [2, 2], values: [5, 6, 7, 8] }, y: labels(1, 1) },
  ] as const;
  const [a, b] = await Promise.all(sets.map((arrays) => loadDataset(put(arrays), [input([undefined, 2])])));
  expect(findOverlap(a!, b!)).toEqual([{ indexA: 2, indexB: 0 }]);
});
