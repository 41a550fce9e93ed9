import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main } from "../../../src/cli/main.ts";
import type { NpzInput } from "../../../src/data/npz.ts";

/** The digits classifier that ships with the project and its data. */
export const digits = join(import.meta.dirname, "../../../models/digits");
export const MODEL = join(digits, "digits.onnx");
export const FORGET = join(digits, "digits-forget.npz");
export const RETAIN = join(digits, "digits-retain.npz");
export const TEST = join(digits, "digits-test.npz");
export const RETRAINED = join(digits, "digits-retrained.onnx");
export const SCALING = ["--scale", "16", "--mean", "0.5", "--std", "0.5"];

export const temporary = (): string => mkdtempSync(join(tmpdir(), "onnx-unlearn-test-"));

/** Runs the command line in this process. */
export async function run(...argv: string[]) {
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

/** `count` blank 8x8 images, told apart by their first pixel, all of class `label`. */
export const images = (
  count: number,
  label = 0,
  first = (i: number) => i,
): Readonly<Record<string, NpzInput>> => ({
  x: {
    dtype: "float32",
    dims: [count, 1, 8, 8],
    values: Array.from({ length: count * 64 }, (_, i) => (i % 64 === 0 ? first(i / 64) : 0)),
  },
  y: { dtype: "int64", dims: [count], values: new Array<number>(count).fill(label) },
});
