import { expect, test } from "vitest";
import { createBatcher, everySample, inMemory, type SampleSource } from "../../../src/data/batcher.ts";

const spec = (shape: readonly number[], dtype: "float32" | "int32" = "float32") => ({ shape, dtype });
const columns = { x: spec([4, 2]), y: spec([4], "int32") };
const source = inMemory({
  x: { data: Float32Array.of(0, 1, 10, 11, 20, 21, 30, 31, 40, 41), width: 2 },
  y: { data: Int32Array.of(0, 1, 2, 3, 4), width: 1 },
});

test("samples of two sources stand one after the other, marked by their masks; the first row fills the rest", async () => {
  const batcher = createBatcher({ columns, masks: ["a", "b"], rows: 4, padding: "first row" });
  const other = inMemory({
    x: { data: Float32Array.of(-1, -2), width: 2 },
    y: { data: Int32Array.of(-3), width: 1 },
  });
  const batch = await batcher.fill([
    { source, indices: [4, 1], mask: "a" },
    { source: other, indices: [0], mask: "b" },
  ]);
  expect(batch).toEqual({
    x: Float32Array.of(40, 41, 10, 11, -1, -2, 40, 41),
    y: Int32Array.of(4, 1, -3, 4),
    a: Float32Array.of(1, 1, 0, 0),
    b: Float32Array.of(0, 0, 1, 0),
  });
});

test("a walk takes every chosen sample once, in order, and pads its last batch", async () => {
  const batcher = createBatcher({ columns, rows: 4, padding: "zeros" });
  const seen: unknown[] = [];
  for await (const { arrays, from, count } of batcher.walk(source, everySample(5)))
    seen.push([from, count, [...arrays["y"]!], [...arrays["x"]!]]);
  expect(seen).toEqual([
    [0, 4, [0, 1, 2, 3], [0, 1, 10, 11, 20, 21, 30, 31]],
    [4, 1, [4, 0, 0, 0], [40, 41, 0, 0, 0, 0, 0, 0]],
  ]);
});

test("a source may take its time: a positioned reader can stand in for arrays in memory", async () => {
  const asked: number[][] = [];
  const reader: SampleSource = {
    async gather(indices, into, at) {
      await Promise.resolve();
      asked.push(Array.from(indices));
      for (let k = 0; k < indices.length; k++) {
        into["x"]!.fill(indices[k]!, 2 * (at + k), 2 * (at + k) + 2);
        into["y"]![at + k] = indices[k]!;
      }
    },
  };
  const batcher = createBatcher({ columns, masks: ["valid"], rows: 4, padding: "first row" });
  const seen: number[][] = [];
  for await (const { arrays } of batcher.walk(reader, [7, 5, 9, 6, 8], "valid"))
    seen.push([...arrays["y"]!, ...arrays["valid"]!]);
  expect(asked).toEqual([[7, 5, 9, 6], [8]]);
  expect(seen).toEqual([
    [7, 5, 9, 6, 1, 1, 1, 1],
    [8, 8, 8, 8, 1, 0, 0, 0],
  ]);
});
