import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { onnx as Onnx } from "onnx-proto";
import pkg from "onnx-proto";
import { describe, expect, test } from "vitest";
import { OnnxUnlearnError } from "../../../converters/errors.ts";
import { loadModelFile, readModel } from "../../../converters/onnx/read.ts";

const { onnx } = pkg;
const { AttributeType } = onnx.AttributeProto;

const encode = (model: Onnx.IModelProto): Uint8Array =>
  new Uint8Array(onnx.ModelProto.encode(model).finish());
const withTensors = (...initializer: Onnx.ITensorProto[]): Uint8Array =>
  encode({ irVersion: 8, opsetImport: [{ domain: "", version: 17 }], graph: { name: "g", initializer } });
const decoded = (tensor: Onnx.ITensorProto) =>
  readModel(withTensors({ name: "t", ...tensor })).graph.initializers.get("t")?.data;

function failure(run: () => unknown): OnnxUnlearnError {
  try {
    run();
  } catch (error) {
    if (error instanceof OnnxUnlearnError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("tensor payloads, by the field table of onnx.proto", () => {
  test.each<[string, Onnx.ITensorProto, unknown]>([
    [
      "float32 raw",
      { dataType: 1, dims: [2], rawData: Uint8Array.of(0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0) },
      Float32Array.of(1, -2),
    ],
    ["float32 typed", { dataType: 1, dims: [2], floatData: [1, -2] }, Float32Array.of(1, -2)],
    ["float32 scalar", { dataType: 1, floatData: [3] }, Float32Array.of(3)],
    ["float32 empty", { dataType: 1, dims: [0] }, new Float32Array()],
    [
      "float64 raw",
      { dataType: 11, dims: [1], rawData: Uint8Array.of(0, 0, 0, 0, 0, 0, 0xf0, 0x3f) },
      Float64Array.of(1),
    ],
    ["float64 typed", { dataType: 11, dims: [1], doubleData: [0.1] }, Float64Array.of(0.1)],
    [
      "float16 raw",
      { dataType: 10, dims: [2], rawData: Uint8Array.of(0, 0x3c, 1, 0) },
      Float32Array.of(1, 2 ** -24),
    ],
    ["float16 typed", { dataType: 10, dims: [2], int32Data: [0x3c00, 0xc000] }, Float32Array.of(1, -2)],
    ["bfloat16 raw", { dataType: 16, dims: [1], rawData: Uint8Array.of(0x80, 0x3f) }, Float32Array.of(1)],
    ["bfloat16 typed", { dataType: 16, dims: [1], int32Data: [0xc000] }, Float32Array.of(-2)],
    ["int8 typed", { dataType: 3, dims: [2], int32Data: [-1, 127] }, Int8Array.of(-1, 127)],
    ["uint8 raw", { dataType: 2, dims: [2], rawData: Uint8Array.of(1, 255) }, Uint8Array.of(1, 255)],
    ["uint16 typed", { dataType: 4, dims: [1], int32Data: [65535] }, Uint16Array.of(65535)],
    ["int16 raw", { dataType: 5, dims: [1], rawData: Uint8Array.of(0xfe, 0xff) }, Int16Array.of(-2)],
    ["int32 typed", { dataType: 6, dims: [1], int32Data: [-5] }, Int32Array.of(-5)],
    ["uint32 typed", { dataType: 12, dims: [1], uint64Data: [4294967295] }, Uint32Array.of(4294967295)],
    ["int64 typed", { dataType: 7, dims: [2], int64Data: [-1, 2 ** 40] }, BigInt64Array.of(-1n, 2n ** 40n)],
    [
      "uint64 raw",
      { dataType: 13, dims: [1], rawData: new Uint8Array(8).fill(255) },
      BigUint64Array.of(2n ** 64n - 1n),
    ],
    ["bool typed", { dataType: 9, dims: [2], int32Data: [1, 0] }, Uint8Array.of(1, 0)],
    ["string", { dataType: 8, dims: [1], stringData: [new TextEncoder().encode("é")] }, ["é"]],
    ["complex64", { dataType: 14, dims: [1], floatData: [1, 2] }, Float32Array.of(1, 2)],
    ["float8e4m3fn", { dataType: 17, dims: [1], rawData: Uint8Array.of(0x7e) }, Float32Array.of(448)],
    [
      "uint4 raw, low half first",
      { dataType: 21, dims: [3], rawData: Uint8Array.of(0x21, 0x0f) },
      Uint8Array.of(1, 2, 15),
    ],
    ["int4 raw", { dataType: 22, dims: [3], rawData: Uint8Array.of(0x8f, 0x07) }, Int8Array.of(-1, -8, 7)],
    ["int4 typed", { dataType: 22, dims: [2], int32Data: [0x8f] }, Int8Array.of(-1, -8)],
  ])("%s", (_, tensor, data) => expect(decoded(tensor)).toEqual(data));
});

test("attributes become plain values, also without a type as in old files", () => {
  const attribute: Onnx.IAttributeProto[] = [
    { name: "i", i: 3 },
    { name: "f", f: 0.5 },
    { name: "s", s: new TextEncoder().encode("SAME_UPPER") },
    { name: "ints", ints: [1, -2] },
    { name: "floats", floats: [1.5] },
    { name: "t", t: { dataType: 1, dims: [1], floatData: [2] } },
    { name: "typed", type: AttributeType.INTS, ints: [] },
    { name: "g", type: AttributeType.GRAPH, g: { name: "inner" } },
  ];
  const bytes = encode({
    irVersion: 3,
    graph: { node: [{ opType: "X", domain: "ai.onnx", output: ["y"], attribute }] },
  });
  const model = readModel(bytes);
  expect(model.opsets).toEqual(new Map([["", 1]]));
  expect(model.graph.nodes[0]).toMatchObject({
    opType: "X",
    domain: "",
    attributes: {
      i: 3,
      f: 0.5,
      s: "SAME_UPPER",
      ints: [1, -2],
      floats: [1.5],
      typed: [],
      g: { name: "inner" },
    },
  });
  expect(model.graph.nodes[0]?.attributes.t).toMatchObject({ dtype: "float32", data: Float32Array.of(2) });
});

test("inputs leave out initializers; dims are fixed, symbolic or unknown; sparse initializers become dense", () => {
  const dim = [{ dimParam: "N" }, { dimValue: 3 }, {}, { dimValue: -1 }];
  const bytes = encode({
    irVersion: 8,
    graph: {
      input: [
        { name: "x", type: { tensorType: { elemType: 1, shape: { dim } } } },
        { name: "w" },
        { name: "any" },
      ],
      initializer: [{ name: "w", dataType: 1, dims: [1], floatData: [1] }],
      sparseInitializer: [
        {
          dims: [2, 2],
          values: { name: "s", dataType: 1, dims: [1], floatData: [7] },
          indices: { dataType: 7, dims: [1, 2], int64Data: [1, 0] },
        },
      ],
    },
  });
  const { graph } = readModel(bytes);
  expect(graph.inputs).toEqual([
    { name: "x", dtype: "float32", dims: ["N", 3, undefined, undefined] },
    { name: "any", dtype: undefined, dims: undefined },
  ]);
  expect(graph.initializers.get("s")).toEqual({
    name: "s",
    dtype: "float32",
    dims: [2, 2],
    data: Float32Array.of(0, 0, 7, 0),
  });
});

describe("bad input is a sentence and exit code 2", () => {
  const folder = mkdtempSync(join(tmpdir(), "onnx-read-"));
  const good = withTensors({ name: "weights", dataType: 1, dims: [4], floatData: [1, 2, 3, 4] });
  const file = (name: string, bytes: Uint8Array) => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  };
  const text = (value: string) => new TextEncoder().encode(value);
  const external = (location: string, more: Onnx.IStringStringEntryProto[] = []) =>
    withTensors({
      name: "w",
      dataType: 1,
      dims: [2],
      dataLocation: 1,
      externalData: [{ key: "location", value: location }, ...more],
    });
  writeFileSync(join(folder, "short.bin"), new Uint8Array(4));
  mkdirSync(join(folder, "models"));
  symlinkSync(join(folder, "short.bin"), join(folder, "models", "link.bin"));

  test.each<[string, string, string]>([
    ["missing file", join(folder, "absent.onnx"), "FILE_MISSING"],
    ["folder", folder, "FILE_UNREADABLE"],
    ["empty", file("empty.onnx", new Uint8Array()), "EMPTY_FILE"],
    ["text", file("text.onnx", text("hello world, this is no model at all")), "NOT_ONNX"],
    ["no graph", file("nograph.onnx", Uint8Array.of(8, 8)), "NOT_ONNX"],
    ["png", file("image.onnx", Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 0)), "NOT_ONNX"],
    ["ort", file("m.ort", text("\x18\0\0\0ORTMxxxxxxxx")), "ORT_FORMAT"],
    [
      "lfs pointer",
      file("lfs.onnx", text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")),
      "GIT_LFS_POINTER",
    ],
    [
      "size",
      file("size.onnx", withTensors({ name: "w7", dataType: 1, dims: [3], floatData: [1] })),
      "TENSOR_SIZE",
    ],
    [
      "raw size",
      file("raw.onnx", withTensors({ name: "w7", dataType: 1, dims: [3], rawData: new Uint8Array(8) })),
      "TENSOR_SIZE",
    ],
    ["element type", file("type.onnx", withTensors({ name: "w", dataType: 99, dims: [0] })), "ELEMENT_TYPE"],
    ["side file missing", file("ext.onnx", external("gone.bin")), "EXTERNAL_DATA_MISSING"],
    ["side file short", file("ext2.onnx", external("short.bin")), "TENSOR_SIZE"],
    ["escape", file("ext3.onnx", external("../secret.bin")), "EXTERNAL_DATA"],
    ["absolute", file("ext4.onnx", external("/etc/hostname")), "EXTERNAL_DATA"],
    ["escape by link", file("models/ext5.onnx", external("link.bin")), "EXTERNAL_DATA"],
    [
      "bad offset",
      file("ext6.onnx", external("short.bin", [{ key: "offset", value: "-1" }])),
      "EXTERNAL_DATA",
    ],
  ])("%s", (_, path, code) => {
    const error = failure(() => loadModelFile(path));
    // Weights that cannot be written, or are not there, make a model untrainable; all else is bad input.
    const exitCode = code === "ORT_FORMAT" || code === "EXTERNAL_DATA_MISSING" ? 3 : 2;
    expect(error).toMatchObject({ code, exitCode });
    expect(error.message).toContain(path);
    expect(error.message).toMatch(/; .+\.$/);
    if (/(size|raw)\.onnx$/.test(path)) expect(error.message).toContain('"w7"');
  });

  test("a file cut inside its graph is called truncated, at every length", () => {
    for (let length = 1; length < good.length - 6; length++) {
      const { code } = failure(() => readModel(good.subarray(0, length)));
      expect(["TRUNCATED", "NOT_ONNX"]).toContain(code);
      if (length > 4) expect(code).toBe("TRUNCATED");
    }
  });
});
