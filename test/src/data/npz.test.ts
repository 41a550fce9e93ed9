// fixtures/npz was written by NumPy (make_npz.py).
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { unzipSync, zipSync } from "fflate";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { describe, expect, test } from "vitest";
import { decodeNpy } from "../../../src/data/npy.ts";
import { encodeNpz, readNpz } from "../../../src/data/npz.ts";
import { temporary } from "../cli/cli.ts";

const fixtures = join(import.meta.dirname, "../../fixtures/npz");
const at = (name: string) => join(fixtures, name);
const json = <T>(name: string): T => JSON.parse(readFileSync(at(name), "utf8"));
const folder = temporary();
function put(bytes: Uint8Array): string {
  const path = join(folder, "set.npz");
  writeFileSync(path, bytes);
  return path;
}
const refusal = (code: string, message: string | RegExp = "") =>
  expect.objectContaining({
    ...{ code, exitCode: 2 },
    message: typeof message === "string" ? expect.stringContaining(message) : expect.stringMatching(message),
  });

test.each(["plain.npz", "compressed.npz", "streamed.npz"])(
  "%s: every element type, order of bytes and rank",
  async (file) => {
    const wanted = json<Record<string, { dims: number[]; values: number[]; kind: string }>>("values.json");
    const arrays = await readNpz(at(file));
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

test("Fortran order and every spelling of a header are read as NumPy reads them", async () => {
  const arrays = await readNpz(at("headers.npz"));
  const read = Object.fromEntries(
    [...arrays].map(([name, { dims, data }]) => [name, { dims, values: Array.from(data) }]),
  );
  expect(read).toEqual(json("headers.json"));
});

/** An `.npy` of format 1.0 with this header and 24 bytes of numbers. */
const npy = (header: string): Uint8Array =>
  Buffer.concat([
    Buffer.from([0x93, ...Buffer.from("NUMPY"), 1, 0, header.length & 255, header.length >> 8]),
    Buffer.from(header, "latin1"),
    new Uint8Array(24),
  ]);

test.each(json<string[]>("refused-headers.json").map((header) => [header.trimEnd().slice(0, 80), header]))(
  "a header that NumPy refuses: %s",
  (_, header) => {
    expect(() => decodeNpy(npy(header), "here")).toThrow(
      refusal(expect.stringMatching(/^NPY_/) as never, "here"),
    );
  },
);

test.each([
  ["strings", "{'descr': '<U1', 'fortran_order': False, 'shape': (6,)}"],
  ["records", "{'descr': [('a', '<f4'), ('b', '<i2', (3,))], 'fortran_order': False, 'shape': (6,)}"],
  ["objects", "{'descr': '|O', 'fortran_order': False, 'shape': (3,)}"],
])("%s are refused with what to do", (_, header) => {
  expect(() => decodeNpy(npy(header), "here")).toThrow(refusal("NPY_DTYPE", "float32"));
});

test("strings in an archive are refused with what to do", async () => {
  await expect(readNpz(at("text.npz"))).rejects.toThrow(refusal("NPY_DTYPE", 'array "x"'));
});

test.each([
  ["cut short", (whole: Buffer) => whole.subarray(0, whole.length - 40)],
  ["cut in half", (whole: Buffer) => whole.subarray(0, whole.length / 2)],
  ["without its beginning", (whole: Buffer) => whole.subarray(40)],
  ["with bytes after its end", (whole: Buffer) => Buffer.concat([whole, Buffer.from("more")])],
  ["no archive", () => Buffer.from("x,y")],
  ["empty", () => Buffer.alloc(0)],
])("a file %s is refused", async (_, damage) => {
  await expect(readNpz(put(damage(readFileSync(at("plain.npz")))))).rejects.toThrow(
    refusal("NPZ_INVALID", "set.npz"),
  );
});

describe("a changed archive is refused, or its arrays are the same", () => {
  const values = Array.from({ length: 256 }, (_, i) => (i * i) % 251);
  const whole = encodeNpz({
    x: { dtype: "float32", dims: [32, 8], values },
    y: { dtype: "int64", dims: [32], values: values.slice(0, 32) },
  });
  const stored = zipSync(unzipSync(whole), { level: 0 });
  test.each([
    ["deflated", whole],
    ["stored", stored],
    ["written by numpy.savez_compressed", readFileSync(at("headers.npz"))],
    ["streamed: sizes after the data", readFileSync(at("streamed.npz"))],
  ])("%s: 200 seeded bits and 100 bytes", async (_, bytes) => {
    const random = xoroshiro128plus(17);
    const draw = (below: number) => uniformInt(random, 0, below - 1);
    const wanted = await readNpz(put(bytes));
    let refused = 0;
    for (let k = 0; k < 300; k++) {
      const changed = Uint8Array.from(bytes);
      const place = draw(changed.length);
      changed[place]! ^= k < 200 ? 1 << draw(8) : 1 + draw(255);
      try {
        expect(await readNpz(put(changed)), `byte ${place}`).toEqual(wanted);
      } catch (error) {
        expect(error).toEqual(refusal("NPZ_INVALID", /set\.npz( is not|: array ".*" is damaged)/));
        refused++;
      }
    }
    // Dates, versions and attributes may change; most of an archive may not.
    expect(refused).toBeGreaterThan(150);
  });
});

test("a wrong checksum is refused, naming the array", async () => {
  const entries = unzipSync(readFileSync(at("plain.npz")));
  const bytes = zipSync({ "x.npy": entries["a1.npy"]!, "y.npy": entries["a0.npy"]! }, { level: 0 });
  // The last 5 before the central directory is the last number of a0 (0 … 5 of one byte each).
  bytes[bytes.lastIndexOf(5, Buffer.from(bytes).indexOf("PK\x01\x02"))] = 7;
  await expect(readNpz(put(bytes))).rejects.toThrow(refusal("NPZ_INVALID", 'set.npz: array "y" is damaged'));
});

/** Overwrites the sizes in both headers of the only entry of an archive. */
function claim(bytes: Uint8Array, size: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(22, size, true);
  view.setUint32(view.getUint32(bytes.length - 6, true) + 24, size, true);
  return bytes;
}

test.each([
  ["2 GB", 2 ** 31, "claim to hold 2147483648"],
  ["one byte less than it holds", 151, "damaged"],
  ["one byte more than it holds", 153, "damaged"],
])("an entry that claims %s is refused before memory is taken for it", async (_, size, why) => {
  const bytes = claim(zipSync({ "x.npy": readFileSync(at("f4.npy")) }), size);
  const before = process.memoryUsage().arrayBuffers;
  await expect(readNpz(put(bytes))).rejects.toThrow(refusal("NPZ_INVALID", why));
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 27);
});

test("a gibibyte of zeros in a megabyte is refused; labels of one class are not", async () => {
  const header = encodeNpz({ y: { dtype: "int64", dims: [2 ** 20], values: new Uint8Array(2 ** 20) } });
  const { dims } = (await readNpz(put(header))).get("y")!;
  expect(dims).toEqual([2 ** 20]);
  await expect(readNpz(put(claim(header, 2 ** 30)))).rejects.toThrow(refusal("NPZ_INVALID", 'array "y"'));
});

test("two entries of one name are refused", async () => {
  const bytes = zipSync({ "x.npy": readFileSync(at("f4.npy")), "y.npy": readFileSync(at("f4.npy")) });
  const twice = Buffer.from(Buffer.from(bytes).toString("latin1").replaceAll("y.npy", "x.npy"), "latin1");
  await expect(readNpz(put(twice))).rejects.toThrow(refusal("NPZ_INVALID", "set.npz"));
});

test("names of model inputs are no paths: any is read", async () => {
  const names = ["/conv/x:0", "../a", "C:b", "a//b", "ü"];
  const entries = names.map((name) => [`${name}.npy`, new Uint8Array(readFileSync(at("f4.npy")))] as const);
  const arrays = await readNpz(put(zipSync(Object.fromEntries(entries))));
  expect([...arrays.keys()]).toEqual(names);
});

test("an array whose header promises more, or less, than the entry holds is refused", async () => {
  const whole = readFileSync(at("f4.npy"));
  for (const bytes of [whole.subarray(0, -4), Buffer.concat([whole, Buffer.alloc(4)])])
    await expect(readNpz(put(zipSync({ "x.npy": bytes })))).rejects.toThrow(
      refusal("NPY_TRUNCATED", /set\.npz: array "x" holds (20|28) bytes.*promises 24/),
    );
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
