import { describe, expect, test } from "vitest";
import { patchModel } from "../../../converters/export/patch.ts";
import { toFloat16Bits } from "../../../converters/onnx/floats.ts";
import { readModel } from "../../../converters/onnx/read.ts";
import { codes, FLOAT, floats, forward, load, model, node, numbers, runtime, value } from "./build.ts";
import { classifier, feed, goesTheRoad, X } from "./road.ts";

describe("graphs in a coarser type, trained through float32 masters and written back rounded", () => {
  const half = (name: string, dims: readonly number[], values: readonly number[]) => ({
    name,
    dims: [...dims],
    dataType: 10,
    rawData: new Uint8Array(Uint16Array.from(values, toFloat16Bits).buffer),
  });

  test("float16 from end to end: convolution, bias, product", async () => {
    const bytes = model({
      input: [value("x", ["n", 2, 3, 3])],
      output: [value("y", undefined)],
      node: [
        node("Cast", ["x"], ["h"], { to: 10 }),
        node("Conv", ["h", "k", "b"], ["c"]),
        node("Relu", ["c"], ["a"]),
        node("Flatten", ["a"], ["f"]),
        node("MatMul", ["f", "v"], ["m"]),
        node("Cast", ["m"], ["y"], { to: FLOAT }),
      ],
      initializer: [
        half("k", [2, 2, 2, 2], numbers(16, 2)),
        half("b", [2], [0.1, -0.2]),
        half("v", [8, 3], numbers(24, 3)),
      ],
    });
    // The logits are the float16 product, which the last Cast hands out.
    const road = { logits: "y", tolerance: 1e-2 };
    expect(await goesTheRoad(bytes, { x: feed([2, 2, 3, 3]) }, road)).toEqual(["k", "b", "v"]);
  });

  test("bfloat16 behind Cast", async () => {
    const words = new Uint32Array(Float32Array.from(numbers(12, 2)).buffer);
    const bits = Uint16Array.from(words, (word) => word >>> 16);
    const bytes = classifier({
      node: [node("Cast", ["w"], ["f"], { to: FLOAT }), node("MatMul", ["x", "f"], ["y"])],
      initializer: [{ name: "w", dims: [4, 3], dataType: 16, rawData: new Uint8Array(bits.buffer) }],
    });
    expect(await goesTheRoad(bytes, X)).toEqual(["w"]);
  });
});

describe("quantised weights", () => {
  const perChannel = floats("ws", [3], [0.02, 0.01, 0.03]);
  const bytes = classifier({
    node: [
      node("DequantizeLinear", ["w", "ws", "wz"], ["wf"], { axis: 1 }),
      node("DequantizeLinear", ["b", "bs"], ["bf"]),
      node("Gemm", ["x", "wf", "bf"], ["y"]),
    ],
    initializer: [
      codes("w", 3, [4, 3], [1, 2, 253, 40, 50, 200, 7, 8, 9, 100, 128, 127]),
      perChannel,
      codes("wz", 3, [3], [0, 1, 255]),
      codes("b", 6, [3], [100, -2000, 30000]),
      floats("bs", [], [0.001]),
    ],
  });

  test("are trained as the real numbers they stand for and written back on the same grid", async () => {
    expect(await goesTheRoad(bytes, X)).toEqual(["w", "b"]);
    const imported = load(bytes);
    const w = imported.parameters.find(({ name }) => name === "w")!;
    // (code − zero point) · scale, column by column: (1 − 0) · 0.02, (2 − 1) · 0.01, (−3 + 1) · 0.03.
    expect([...w.data.slice(0, 3)].map((v) => Number(v.toFixed(6)))).toEqual([0.02, 0.01, -0.06]);
    const moved = w.data.slice();
    moved[0] = 0.0502; // 2.51 steps of 0.02: code 3
    moved[1] = 9; // saturates at 127
    const { bytes: after } = patchModel(readModel(bytes), new Map([["w", moved]]));
    expect(after.length).toBe(bytes.length);
    expect([...(readModel(after).graph.initializers.get("w")!.data as Int8Array)].slice(0, 3)).toEqual([
      3, 127, -3,
    ]);
  });

  test("a change smaller than half a step leaves the file as it is", () => {
    const w = load(bytes).parameters.find(({ name }) => name === "w")!;
    const { changed, bytes: after } = patchModel(
      readModel(bytes),
      new Map([["w", w.data.map((v) => v + 0.004)]]),
    );
    expect(changed).toEqual([]);
    expect(after).toEqual(bytes);
  });

  test("codes in int32_data, negative ones included", async () => {
    const typed = classifier({
      node: [node("DequantizeLinear", ["w", "s"], ["wf"]), node("MatMul", ["x", "wf"], ["y"])],
      initializer: [
        { name: "w", dims: [4, 3], dataType: 3, int32Data: [1, -2, 3, -40, 5, 6, 7, -8, 9, 10, 11, -12] },
        floats("s", [], [0.1]),
      ],
    });
    expect(await goesTheRoad(typed, X)).toEqual(["w"]);
  });

  test.each([
    ["int8", 3, 2, 13],
    ["uint8", 2, 2, 13],
    ["int16", 5, 4, 21],
  ] as const)(
    "QDQ around everything: %s weights per channel, an int32 bias, quantised activations",
    async (_, weightType, activationType, opset) => {
      const zeroOf = { 2: 128, 3: 0, 4: 32768, 5: 0 } as const;
      const wide = weightType === 5;
      const Codes = { 2: Uint8Array, 3: Int8Array, 4: Uint16Array, 5: Int16Array } as const;
      const coded = (name: string, type: keyof typeof Codes, dims: number[], values: readonly number[]) => ({
        name,
        dims,
        dataType: type,
        rawData: new Uint8Array(Codes[type].from(values).buffer),
      });
      const activation = wide ? 1e-4 : 0.02;
      const scales = [0.5, 1, 2].map((s) => s * (wide ? 1e-4 : 0.01));
      const quantised = (from: string, to: string) => [
        node("QuantizeLinear", [from, "as", "az"], [`${to}q`]),
        node("DequantizeLinear", [`${to}q`, "as", "az"], [to]),
      ];
      const bytes = model(
        {
          input: [value("x", ["n", 2, 3, 3])],
          output: [value("y", undefined)],
          node: [
            ...quantised("x", "xd"),
            node("DequantizeLinear", ["k", "ks", "kz"], ["kd"], { axis: 0 }),
            node("DequantizeLinear", ["b", "bs"], ["bd"], { axis: 0 }),
            node("Conv", ["xd", "kd", "bd"], ["c"]),
            ...quantised("c", "cd"),
            node("Flatten", ["cd"], ["f"]),
            ...quantised("f", "y"),
          ],
          initializer: [
            coded(
              "k",
              weightType,
              [3, 2, 2, 2],
              numbers(24, 5).map((v) => Math.round(v * (wide ? 8000 : 80)) + zeroOf[weightType]),
            ),
            floats("ks", [3], scales),
            coded("kz", weightType, [3], Array(3).fill(zeroOf[weightType])),
            codes("b", 6, [3], [100, -200, 300]),
            floats(
              "bs",
              [3],
              scales.map((s) => s * activation),
            ),
            floats("as", [], [activation]),
            coded("az", activationType, [], [zeroOf[activationType]]),
          ],
        },
        { opset, irVersion: 10 },
      );
      expect(await goesTheRoad(bytes, { x: feed([2, 2, 3, 3]) })).toEqual(["k", "b"]);
    },
  );

  test("integer operators are written out in real numbers: QLinearConv, QLinearMatMul", async () => {
    const scale = (name: string, v: number) => floats(name, [], [v]);
    const zero = (name: string, v: number) => codes(name, 2, [], [v]);
    const integer = model({
      input: [value("x", ["n", 1, 4, 4])],
      output: [value("y", undefined)],
      node: [
        node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        node("QLinearConv", ["q", "xs", "xz", "w", "ws", "wz", "cs", "cz", "b"], ["c"], {
          kernel_shape: [3, 3],
        }),
        node("Flatten", ["c"], ["f"]),
        node("QLinearMatMul", ["f", "cs", "cz", "v", "vs", "vz", "ys", "yz"], ["p"]),
        node("DequantizeLinear", ["p", "ys", "yz"], ["y"]),
      ],
      initializer: [
        scale("xs", 0.01),
        zero("xz", 128),
        codes(
          "w",
          2,
          [2, 1, 3, 3],
          Array.from({ length: 18 }, (_, i) => (i * 37) % 256),
        ),
        scale("ws", 0.02),
        zero("wz", 120),
        codes("b", 6, [2], [50, -50]),
        scale("cs", 0.05),
        zero("cz", 100),
        codes(
          "v",
          2,
          [8, 3],
          Array.from({ length: 24 }, (_, i) => (i * 53) % 256),
        ),
        scale("vs", 0.03),
        zero("vz", 125),
        scale("ys", 0.1),
        zero("yz", 130),
      ],
    });
    const imported = load(integer);
    expect(imported.parameters.filter((p) => p.trainable).map(({ name }) => name)).toEqual(["w", "b", "v"]);
    const X4 = { x: feed([2, 1, 4, 4]) };
    const [ours, theirs] = [await forward(imported, X4), await runtime(integer, X4, "y")];
    // Ties may round the other way: at most one step of 0.1.
    theirs.forEach((v, i) => {
      expect(Math.abs(v - ours[i]!)).toBeLessThan(0.1001);
    });
    expect(theirs.filter((v, i) => Math.abs(v - ours[i]!) < 1e-4).length).toBeGreaterThan(theirs.length / 2);
  });
});
