// fixtures/npz was written by NumPy (make_npz.py).
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { unzipSync } from "fflate";
import { expect, test } from "vitest";
import { encodeNpz, readNpz } from "../../../src/data/npz.ts";
import { temporary } from "../cli/cli.ts";

const fixtures = join(import.meta.dirname, "../../fixtures/npz");
const at = (name: string) => join(fixtures, name);

test.each(["plain.npz", "compressed.npz", "streamed.npz"])(
  "%s: every element type, order of bytes and rank",
  (file) => {
    const wanted: Record<string, { dims: number[]; values: number[]; kind: string }> = JSON.parse(
      readFileSync(at("values.json"), "utf8"),
    );
    const arrays = readNpz(at(file));
    expect([...arrays.keys()]).toEqual(Object.keys(wanted));
    for (const [name, { dims, values, kind }] of Object.entries(wanted)) {
      const array = arrays.get(name)!;
      expect({ dims: array.dims, values: Array.from(array.data), kind: array.kind }, name).toEqual({
        dims,
        values,
        kind,
      });
    }
  },
);

test.each([
  ["fortran.npz", "NPY_ORDER", "ascontiguousarray"],
  ["text.npz", "NPY_DTYPE", "float32"],
])("%s is refused with what to do", (file, code, remedy) => {
  expect(() => readNpz(at(file))).toThrow(
    expect.objectContaining({ code, exitCode: 2, message: expect.stringContaining(remedy) }),
  );
});

test.each([
  ["cut short", (whole: Buffer) => whole.subarray(0, whole.length - 40)],
  ["without its beginning", (whole: Buffer) => whole.subarray(40)],
  ["no archive", () => Buffer.from("x,y")],
  ["empty", () => Buffer.alloc(0)],
])("a file %s is refused", (_, damage) => {
  const path = join(temporary(), "damaged.npz");
  writeFileSync(path, damage(readFileSync(at("plain.npz"))));
  expect(() => readNpz(path)).toThrow(expect.objectContaining({ code: "NPZ_INVALID", exitCode: 2 }));
});

test("what is written is what numpy.save writes, byte for byte", () => {
  const ramp = [0, 1, 2, 3, 4, 5];
  const entries = unzipSync(
    encodeNpz({
      u1: { dtype: "uint8", dims: [2, 3], values: ramp },
      i8: { dtype: "int64", dims: [5], values: ramp.slice(0, 5) },
      f4: { dtype: "float32", dims: [2, 3], values: ramp },
    }),
  );
  for (const name of ["u1", "i8", "f4"])
    expect(Buffer.from(entries[`${name}.npy`]!).equals(readFileSync(at(`${name}.npy`))), name).toBe(true);
});
