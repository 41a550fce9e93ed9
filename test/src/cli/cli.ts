import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zipSync } from "fflate";
import { main } from "../../../src/cli/main.ts";

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

const DESCRIPTORS = { uint8: "|u1", int64: "<i8", float32: "<f4" } as const;

export interface NpyInput {
  readonly dtype: keyof typeof DESCRIPTORS;
  readonly dims: readonly number[];
  readonly values: readonly number[];
}

/** What numpy.savez writes, built here by hand: header, data, and the zip around them. */
export function npz(arrays: Readonly<Record<string, NpyInput>>): Uint8Array {
  const entries = Object.entries(arrays).map(([name, { dtype, dims, values }]) => {
    const header = `{'descr': '${DESCRIPTORS[dtype]}', 'fortran_order': False, 'shape': (${dims.join(", ")}${dims.length === 1 ? "," : ""}), }\n`;
    const head = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length, 0]);
    const data =
      dtype === "uint8"
        ? Uint8Array.from(values)
        : dtype === "int64"
          ? BigInt64Array.from(values, BigInt)
          : Float32Array.from(values);
    return [
      `${name}.npy`,
      new Uint8Array(Buffer.concat([head, Buffer.from(header, "latin1"), new Uint8Array(data.buffer)])),
    ] as const;
  });
  return zipSync(Object.fromEntries(entries));
}

/** `count` blank 8x8 images, told apart by their first pixel, all of class `label`. */
export const images = (
  count: number,
  label = 0,
  first = (i: number) => i,
): Readonly<Record<string, NpyInput>> => ({
  x: {
    dtype: "float32",
    dims: [count, 1, 8, 8],
    values: Array.from({ length: count * 64 }, (_, i) => (i % 64 === 0 ? first(i / 64) : 0)),
  },
  y: { dtype: "int64", dims: [count], values: new Array<number>(count).fill(label) },
});
