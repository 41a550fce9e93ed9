import { createHash } from "node:crypto";
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { onnx as Onnx } from "onnx-proto";
import pkg from "onnx-proto";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { compareStructure } from "../../../converters/export/compare.ts";
import { patchModel } from "../../../converters/export/patch.ts";
import { exportModel } from "../../../converters/export/write.ts";
import { loadModelFile, readModel } from "../../../converters/onnx/read.ts";

const { onnx } = pkg;
const zoo = resolve("../shared/models/zoo");
if (!existsSync(zoo)) console.log(`skipped: no model zoo at ${zoo}`);

const temporary = (): string => mkdtempSync(join(tmpdir(), "onnx-export-"));
const encode = (model: Onnx.IModelProto): Uint8Array =>
  new Uint8Array(onnx.ModelProto.encode(model).finish());
const bytesOf = (array: Float32Array | Float64Array | Uint16Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** y = Cast(w, float32) + x, shape [n], so that ONNX Runtime tells what a weight of any float kind holds. */
function castModel(w: Onnx.ITensorProto, elements: number): Uint8Array {
  const shape = { dim: [{ dimValue: elements }] };
  const vector = (name: string) => ({ name, type: { tensorType: { elemType: 1, shape } } });
  return encode({
    irVersion: 8,
    opsetImport: [{ domain: "", version: 17 }],
    metadataProps: [{ key: "author", value: "somebody" }],
    graph: {
      name: "g",
      node: [
        { opType: "Cast", input: ["w"], output: ["c"], attribute: [{ name: "to", type: 2, i: 1 }] },
        { opType: "Add", input: ["c", "x"], output: ["y"] },
      ],
      initializer: [{ name: "w", dims: [elements], ...w }],
      input: [vector("x")],
      output: [vector("y")],
    },
  });
}

async function runtimeValues(model: Uint8Array | string, elements: number): Promise<Float32Array> {
  const session =
    typeof model === "string" ? await InferenceSession.create(model) : await InferenceSession.create(model);
  const { y } = await session.run({ x: new Tensor("float32", new Float32Array(elements), [elements]) });
  return y!.data as Float32Array;
}

/** A length-delimited or varint field by hand. */
const field = (number: number, body: readonly number[]): number[] => [
  (number << 3) | 2,
  body.length,
  ...body,
];
const ascii = (text: string): number[] => [...new TextEncoder().encode(text)];
const floats = (...values: number[]): number[] => [...bytesOf(Float32Array.from(values))];
const unknown = [0xa2, 0xee, 0x01, 3, 9, 9, 9]; // field 3812, three bytes: nothing this program knows

/** Indices where two arrays of one length differ. */
function differingBytes(a: Uint8Array, b: Uint8Array): number[] {
  expect(b.length).toBe(a.length);
  return [...a.keys()].filter((i) => a[i] !== b[i]);
}

describe("payloads patched in place", () => {
  const old = Float32Array.of(1, 2, 3);
  const packed = field(4, floats(...old));
  const unpacked = [...old].flatMap((value) => [(4 << 3) | 5, ...floats(value)]);
  test.each([
    ["raw_data", field(9, floats(...old))],
    ["packed float_data", packed],
    ["unpacked float_data", unpacked],
  ])("%s, with unknown fields at every level", async (_, payload) => {
    const tensor = [...unknown, 8, 3, 16, 1, ...payload, ...field(8, ascii("w")), ...unknown];
    const bytes = Uint8Array.from([
      8,
      9,
      ...unknown,
      ...field(7, [...unknown, ...field(5, tensor), ...unknown]),
      ...unknown,
    ]);
    const model = readModel(bytes);
    const original = bytes.slice();
    expect(patchModel(model, new Map([["w", old]])).bytes).toEqual(original);
    const { bytes: after, changed } = patchModel(model, new Map([["w", Float32Array.of(1, -2, 3)]]));
    // 2 = 00 00 00 40 and -2 = 00 00 00 c0: one byte differs, the top one of the middle element.
    expect(changed).toEqual([
      { name: "w", dtype: "float32", elements: 3, changedElements: 1, changedBytes: 1 },
    ]);
    const [at, ...others] = differingBytes(original, after);
    expect(others).toEqual([]);
    expect([original[at!], after[at!]]).toEqual([0x40, 0xc0]);
    expect(bytes).toEqual(original);
    expect(compareStructure(model, readModel(after))).toEqual({
      identicalStructure: true,
      differences: [],
      changedTensors: [{ name: "w", dtype: "float32", elements: 3, changedElements: 1, maxAbsChange: 4 }],
    });
  });

  test("float16 raw: rounded to nearest even, and only real changes count", async () => {
    const bytes = castModel({ dataType: 10, rawData: bytesOf(Uint16Array.of(0x3c00, 0x3c00, 0x7e01)) }, 3);
    const result = patchModel(
      readModel(bytes),
      new Map([["w", Float32Array.of(1 + 2 ** -12, 1 + 3 * 2 ** -11, Number.NaN)]]),
    );
    expect(result.changed).toEqual([
      { name: "w", dtype: "float16", elements: 3, changedElements: 1, changedBytes: 1 },
    ]);
    expect(await runtimeValues(result.bytes, 3)).toEqual(Float32Array.of(1, 1 + 2 ** -9, Number.NaN));
  });

  test("bfloat16 raw", async () => {
    const bytes = castModel({ dataType: 16, rawData: bytesOf(Uint16Array.of(0x3f80, 0x3f80)) }, 2);
    const result = patchModel(readModel(bytes), new Map([["w", Float32Array.of(1 + 3 * 2 ** -8, 1)]]));
    expect(await runtimeValues(result.bytes, 2)).toEqual(Float32Array.of(1 + 2 ** -6, 1));
  });

  test("float64: masters equal to the rounded original keep all eight bytes", () => {
    const bytes = castModel({ dataType: 11, rawData: bytesOf(Float64Array.of(0.1, 0.2)) }, 2);
    const result = patchModel(readModel(bytes), new Map([["w", Float32Array.of(0.1, 0.5)]]));
    expect(result.changed[0]?.changedElements).toBe(1);
    expect(readModel(result.bytes).graph.initializers.get("w")?.data).toEqual(Float64Array.of(0.1, 0.5));
  });

  test.each([
    ["float16", 10, 0x0001, 2 ** -24],
    ["bfloat16", 16, 0x0000, 0],
  ] as const)(
    "%s in int32_data: varints change length and every prefix follows",
    async (_, dataType, bits, value) => {
      const elements = 60;
      const bytes = castModel({ dataType, int32Data: new Array<number>(elements).fill(bits) }, elements);
      const model = readModel(bytes);
      expect(patchModel(model, new Map([["w", new Float32Array(elements).fill(value)]])).bytes).toEqual(
        bytes,
      );
      // From one-byte to three-byte varints: 60 → 180 bytes carries the prefixes over 127.
      const wanted = Float32Array.from({ length: elements }, (_, i) => -1 - i / 4);
      const after = patchModel(model, new Map([["w", wanted]])).bytes;
      expect(after.length).toBeGreaterThan(bytes.length + 2 * elements);
      expect(await runtimeValues(after, elements)).toEqual(wanted);
      const comparison = compareStructure(model, readModel(after));
      expect(comparison).toMatchObject({
        identicalStructure: true,
        changedTensors: [{ changedElements: elements }],
      });
      const back = patchModel(readModel(after), new Map([["w", new Float32Array(elements).fill(value)]]));
      expect(back.bytes).toEqual(bytes);
    },
  );

  test("Constant nodes: value, value_float and value_floats, by output name", () => {
    const constant = (output: string, attribute: Onnx.IAttributeProto): Onnx.INodeProto => ({
      opType: "Constant",
      output: [output],
      attribute: [attribute],
    });
    const node = [
      constant("a", { name: "value", type: 4, t: { dataType: 1, dims: [2], floatData: [1, 2] } }),
      constant("b", { name: "value_float", type: 1, f: 3 }),
      constant("c", { name: "value_floats", type: 6, floats: [4, 5] }),
    ];
    const model = readModel(encode({ irVersion: 8, graph: { node } }));
    const weights = new Map([
      ["a", Float32Array.of(1, 9)],
      ["b", Float32Array.of(8)],
      ["c", Float32Array.of(4, 7)],
    ]);
    const after = readModel(patchModel(model, weights).bytes);
    expect(after.graph.nodes.map(({ attributes }) => attributes)).toMatchObject([
      { value: { data: Float32Array.of(1, 9) } },
      { value_float: 8 },
      { value_floats: [4, 7] },
    ]);
    const { identicalStructure, changedTensors } = compareStructure(model, after);
    expect(identicalStructure).toBe(true);
    expect(changedTensors.map(({ name, changedElements }) => [name, changedElements])).toEqual([
      ["a", 1],
      ["b", 1],
      ["c", 1],
    ]);
  });
});

test.skipIf(!existsSync(zoo))(
  "every float weight of the zoo can be written; nothing else moves",
  () => {
    let patched = 0;
    for (const file of readdirSync(zoo).filter((name) => name.endsWith(".onnx"))) {
      const model = loadModelFile(join(zoo, file));
      const floatWeights = [...model.graph.initializers.values()].filter(({ dtype }) => dtype === "float32");
      const masters = floatWeights.map(({ name, data }) => [name, data as Float32Array] as const);
      expect(Buffer.compare(patchModel(model, new Map(masters)).bytes, model.bytes), file).toBe(0);
      const wanted = new Map(masters.map(([name, data]) => [name, data.map((value) => value / 2 + 1)]));
      const after = readModel(patchModel(model, wanted).bytes);
      for (const [name, values] of wanted) {
        expect(
          Buffer.compare(bytesOf(after.graph.initializers.get(name)?.data as Float32Array), bytesOf(values)),
          file,
        ).toBe(0);
      }
      expect(compareStructure(model, after).differences, file).toEqual([]);
      patched += wanted.size;
    }
    expect(patched).toBeGreaterThan(100);
  },
  900_000,
);

describe("refusals", () => {
  const model = readModel(
    encode({
      irVersion: 8,
      graph: {
        initializer: [
          { name: "w", dataType: 1, dims: [2], floatData: [1, 2] },
          { name: "h", dataType: 10, dims: [1], int32Data: [0] },
          { name: "twice", dataType: 1, dims: [1], floatData: [1] },
          { name: "twice", dataType: 1, dims: [1], floatData: [2] },
          { name: "i", dataType: 7, dims: [1], int64Data: [1] },
        ],
      },
    }),
  );
  test.each([
    ["nobody", [1], "UNKNOWN_TENSOR", 2],
    ["twice", [1], "DUPLICATE_TENSOR", 2],
    ["i", [1], "NOT_A_FLOAT_TENSOR", 2],
    ["w", [1], "WEIGHT_SIZE", 2],
    ["w", [1, 2, 3], "WEIGHT_SIZE", 2],
    ["w", [1, Number.NaN], "WEIGHT_NOT_FINITE", 4],
    ["h", [70000], "WEIGHT_NOT_FINITE", 4],
  ])("weight %s = %j is %s", (name, values, code, exitCode) => {
    const run = () => patchModel(model, new Map([[name, Float32Array.from(values)]]));
    expect(run).toThrow(
      expect.objectContaining({ code, exitCode, message: expect.stringContaining(`"${name}"`) }),
    );
  });
});

describe("writing files", () => {
  const weights = new Map([["w", Float32Array.of(5, 6)]]);
  const plain = castModel({ dataType: 1, floatData: [1, 2] }, 2);
  function setUp() {
    const folder = temporary();
    const path = join(folder, "model.onnx");
    writeFileSync(path, plain);
    return { folder, path, model: loadModelFile(path) };
  }

  test("the output appears complete, the input stays, no temporary file remains", async () => {
    const { folder, path, model } = setUp();
    const out = join(folder, "out.onnx");
    await exportModel(model, weights, out);
    expect(await runtimeValues(out, 2)).toEqual(Float32Array.of(5, 6));
    expect(new Uint8Array(readFileSync(path))).toEqual(plain);
    expect(readdirSync(folder).sort()).toEqual(["model.onnx", "out.onnx"]);
    await expect(exportModel(model, weights, out)).rejects.toMatchObject({
      code: "OUTPUT_EXISTS",
      exitCode: 2,
    });
    await exportModel(model, new Map(), out, { force: true });
    expect(new Uint8Array(readFileSync(out))).toEqual(plain);
    expect(readdirSync(folder).sort()).toEqual(["model.onnx", "out.onnx"]);
  });

  test("the input under any name, and unusable targets, are refused and leave nothing behind", async () => {
    const { folder, path, model } = setUp();
    symlinkSync(path, join(folder, "soft.onnx"));
    linkSync(path, join(folder, "hard.onnx"));
    mkdirSync(join(folder, "dir.onnx"));
    const before = readdirSync(folder);
    const refused = async (out: string, code: string) =>
      expect(exportModel(model, weights, out, { force: true }), out).rejects.toMatchObject({
        code,
        exitCode: 2,
      });
    for (const name of ["model.onnx", "soft.onnx", "hard.onnx"])
      await refused(join(folder, name), "OUTPUT_IS_INPUT");
    await refused(join(folder, "dir.onnx"), "OUTPUT_EXISTS");
    await refused(join(folder, "absent", "out.onnx"), "OUTPUT_FOLDER");
    await refused(join(path, "out.onnx"), "OUTPUT_FOLDER");
    await refused("/proc/onnx-unlearn.onnx", "OUTPUT_FAILED");
    expect(readdirSync(folder)).toEqual(before);
    expect(new Uint8Array(readFileSync(path))).toEqual(plain);
  });

  function externalSetUp() {
    const folder = temporary();
    const path = join(folder, "model.onnx");
    const externalData = Object.entries({ location: "data/w.bin", offset: "8", length: "8" }).map(
      ([key, value]) => ({ key, value }),
    );
    writeFileSync(path, castModel({ dataType: 1, dataLocation: 1, externalData }, 2));
    mkdirSync(join(folder, "data"));
    writeFileSync(join(folder, "data", "w.bin"), bytesOf(Float32Array.of(9, 9, 1, 2, 9)));
    return { folder, path, model: loadModelFile(path) };
  }

  test("changed external data get a name of their content, in the model too, beside the old ones", async () => {
    const { folder, path, model } = externalSetUp();
    const old = bytesOf(Float32Array.of(9, 9, 1, 2, 9));
    const changed = bytesOf(Float32Array.of(9, 9, 5, 6, 9));
    const hash = createHash("sha256").update(changed).digest("hex").slice(0, 16);
    for (const target of [temporary(), folder]) {
      const out = join(target, "out.onnx");
      const { sideFiles } = await exportModel(model, weights, out);
      const name = `w.bin.${hash}.data`;
      expect([...sideFiles.keys()]).toEqual([name]);
      expect(await runtimeValues(out, 2)).toEqual(Float32Array.of(5, 6));
      expect(new Uint8Array(readFileSync(join(target, name)))).toEqual(changed);
      expect(new Uint8Array(readFileSync(join(folder, "data/w.bin")))).toEqual(old);
      // Every byte but the name and the lengths around it: put the name back by decoding with another program.
      const decoded = onnx.ModelProto.decode(readFileSync(out));
      const entry = decoded.graph!.initializer![0]!.externalData!.find(({ key }) => key === "location")!;
      expect(entry.value).toBe(name);
      entry.value = "data/w.bin";
      expect(onnx.ModelProto.toObject(decoded as never)).toEqual(
        onnx.ModelProto.toObject(onnx.ModelProto.decode(model.bytes) as never),
      );
      expect(compareStructure(loadModelFile(path), loadModelFile(out))).toMatchObject({
        identicalStructure: true,
        differences: [],
        changedTensors: [{ name: "w", changedElements: 2, maxAbsChange: 4 }],
      });
    }
    // The old model answers as before, from its own data.
    expect(await runtimeValues(path, 2)).toEqual(Float32Array.of(1, 2));
    // Again from what was made: one suffix, not two; the data of the replaced file go, those of others stay.
    const out = join(folder, "out.onnx");
    const again = await exportModel(
      loadModelFile(out),
      new Map([["w", Float32Array.of(7, 8)]]),
      join(folder, "b.onnx"),
    );
    expect([...again.sideFiles.keys()][0]).toMatch(/^w\.bin\.[0-9a-f]{16}\.data$/);
    await exportModel(model, new Map([["w", Float32Array.of(3, 4)]]), out, { force: true });
    const data = readdirSync(folder).filter((name) => name.endsWith(".data"));
    expect(data).toHaveLength(2);
    expect(data).not.toContain(`w.bin.${hash}.data`);
    expect(await runtimeValues(out, 2)).toEqual(Float32Array.of(3, 4));
    expect(await runtimeValues(join(folder, "b.onnx"), 2)).toEqual(Float32Array.of(7, 8));
  });

  test("unchanged external data keep their name; another file of that name is never replaced", async () => {
    const { model } = externalSetUp();
    const target = temporary();
    await exportModel(model, new Map(), join(target, "a.onnx"));
    await exportModel(model, new Map(), join(target, "b.onnx"));
    expect(readdirSync(target, { recursive: true }).sort()).toEqual([
      "a.onnx",
      "b.onnx",
      "data",
      "data/w.bin",
    ]);
    writeFileSync(join(target, "data", "w.bin"), "another model's");
    await expect(
      exportModel(model, new Map(), join(target, "a.onnx"), { force: true }),
    ).rejects.toMatchObject({
      code: "OUTPUT_EXISTS",
      message: expect.stringContaining("w.bin"),
    });
    expect(readFileSync(join(target, "data", "w.bin"), "utf8")).toBe("another model's");
  });

  test("a failure half way leaves no new file", async () => {
    const { model } = externalSetUp();
    const target = temporary();
    writeFileSync(join(target, "data"), "a file where the folder should be");
    await expect(exportModel(model, new Map(), join(target, "out.onnx"))).rejects.toMatchObject({
      code: "OUTPUT_FAILED",
    });
    expect(readdirSync(target)).toEqual(["data"]);
  });

  test("compareStructure names what else differs", () => {
    const before = readModel(plain);
    const other = readModel(
      encode({ irVersion: 7, graph: { name: "h", node: [{ opType: "Relu", output: ["y"] }] } }),
    );
    const { identicalStructure, differences } = compareStructure(before, other);
    expect(identicalStructure).toBe(false);
    expect(differences).toContain("the IR version differs");
    expect(differences).toContain('tensor "w" is gone');
    // A field decoding does not know still counts.
    const extended = Uint8Array.from([...plain, ...unknown]);
    expect(compareStructure(before, readModel(extended)).differences).toEqual([
      "bytes outside the float weights differ",
    ]);
  });
});
