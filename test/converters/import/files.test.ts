import pkg from "onnx-proto";
import { describe, expect, test } from "vitest";
import { compareStructure } from "../../../converters/export/compare.ts";
import { patchModel } from "../../../converters/export/patch.ts";
import { fromFloat16Bits, toFloat16Bits } from "../../../converters/onnx/floats.ts";
import { readModel } from "../../../converters/onnx/read.ts";
import {
  attribute,
  codes,
  deviation,
  type Feed,
  FLOAT,
  floats,
  forward,
  INT64,
  ints,
  load,
  model,
  node,
  numbers,
  runtime,
  value,
} from "./build.ts";

const { onnx } = pkg;
const feed = (dims: readonly number[], seed = 7): Feed => ({
  dims,
  data: numbers(
    dims.reduce((a, b) => a * b, 1),
    seed,
  ),
});

/** Outputs equal ONNX Runtime's, before and after every trained weight was moved, in a file that changed nowhere else. */
async function goesTheRoad(
  bytes: Uint8Array,
  feeds: Readonly<Record<string, Feed>>,
  { logits, tolerance = 1e-5 }: { logits?: string; tolerance?: number } = {},
): Promise<readonly string[]> {
  const source = readModel(bytes);
  const imported = load(bytes, { logits });
  const seen = imported.head.logits;
  const wanted = await runtime(tapped(bytes, seen), feeds, seen);
  expect(deviation(await forward(imported, feeds), wanted)).toBeLessThan(tolerance);

  const trained = imported.parameters.filter((p) => p.trainable);
  const moved = new Map(trained.map((p) => [p.name, p.data.map((v, i) => v * 1.5 + 0.1 * ((i % 3) - 1))]));
  const { bytes: after, changed } = patchModel(source, moved);
  expect(changed.map(({ name }) => name).sort()).toEqual(trained.map(({ name }) => name).sort());
  const comparison = compareStructure(source, readModel(after));
  expect(comparison.differences).toEqual([]);
  expect(comparison.changedTensors.map(({ name }) => name).sort()).toEqual(
    changed.map(({ name }) => name).sort(),
  );
  const again = load(after, { logits });
  const now = await runtime(tapped(after, seen), feeds, seen);
  expect(deviation(await forward(again, feeds), now)).toBeLessThan(tolerance);
  expect(deviation(now, wanted)).toBeGreaterThan(tolerance);
  return trained.map(({ name }) => name);
}

/** The file with one more output: protobuf merges a second `graph` field into the first. */
const tapped = (bytes: Uint8Array, name: string): Uint8Array =>
  readModel(bytes).graph.outputs.some((output) => output.name === name)
    ? bytes
    : Uint8Array.from([...bytes, ...onnx.ModelProto.encode({ graph: { output: [{ name }] } }).finish()]);

const classifier = (more: Parameters<typeof model>[0], options: Parameters<typeof model>[1] = {}) =>
  model({ input: [value("x", ["n", 4])], output: [value("y", ["n", 3])], ...more }, options);
const W = floats("w", [4, 3], numbers(12, 2));
const X = { x: feed([2, 4]) };

describe("where weights stand", () => {
  test("in Constant nodes, as a tensor and as a list", async () => {
    const bytes = classifier({
      node: [
        node("Constant", [], ["w"], { value: { ...W, name: "" } }),
        node("Constant", [], ["b"], { value_floats: Float32Array.of(0.1, 0.2, 0.3) }),
        node("Gemm", ["x", "w", "b"], ["y"]),
      ],
    });
    expect(await goesTheRoad(bytes, X)).toEqual(["w", "b"]);
  });

  test("behind Identity, Transpose and Cast from float16", async () => {
    const half = {
      name: "h",
      dims: [3],
      dataType: 10,
      rawData: new Uint8Array(Uint16Array.from([0.5, -0.25, 1], toFloat16Bits).buffer),
    };
    const bytes = classifier({
      node: [
        node("Transpose", ["wt"], ["w0"], { perm: [1, 0] }),
        node("Identity", ["w0"], ["w"]),
        node("Cast", ["h"], ["b"], { to: FLOAT }),
        node("Gemm", ["x", "w", "b"], ["y"]),
      ],
      initializer: [floats("wt", [3, 4], numbers(12, 5)), half],
    });
    expect(await goesTheRoad(bytes, X)).toEqual(["wt", "h"]);
    const written = patchModel(readModel(bytes), new Map([["h", Float32Array.of(0.1, -0.25, 1)]]));
    const [first] = readModel(written.bytes).graph.initializers.get("h")!.data as Float32Array;
    expect(first).toBe(fromFloat16Bits(toFloat16Bits(0.1)));
  });

  test("tied: one tensor used twice is one parameter", async () => {
    const square = floats("w", [4, 4], numbers(16, 3));
    const bytes = classifier({
      output: [value("y", ["n", 4])],
      node: [node("MatMul", ["x", "w"], ["h"]), node("Gemm", ["h", "w"], ["y"], { transB: 1 })],
      initializer: [square],
    });
    expect(await goesTheRoad(bytes, X)).toEqual(["w"]);
  });

  test("as initializers that are graph inputs too, and some that nothing uses", async () => {
    const bytes = classifier({
      input: [value("w", [4, 3]), value("x", ["n", 4]), value("unused", [2])],
      node: [node("MatMul", ["x", "w"], ["y"])],
      initializer: [W, floats("unused", [2], [1, 2])],
    });
    expect(load(bytes).inputs.map(({ name }) => name)).toEqual(["x"]);
    expect(await goesTheRoad(bytes, X)).toEqual(["w"]);
    const { bytes: after } = patchModel(readModel(bytes), new Map([["w", new Float32Array(12)]]));
    expect(readModel(after).graph.initializers.get("unused")!.data).toEqual(Float32Array.of(1, 2));
  });

  test("in float_data instead of raw_data", async () => {
    const bytes = classifier({
      node: [node("MatMul", ["x", "w"], ["y"])],
      initializer: [{ name: "w", dims: [4, 3], dataType: FLOAT, floatData: numbers(12, 2) }],
    });
    expect(await goesTheRoad(bytes, X)).toEqual(["w"]);
  });

  test("bfloat16, trained through float32 masters and written back rounded", async () => {
    const bits = new Uint16Array(new Uint32Array(Float32Array.from(numbers(12, 2)).buffer).length);
    new Uint32Array(Float32Array.from(numbers(12, 2)).buffer).forEach((word, i) => {
      bits[i] = word >>> 16;
    });
    const bytes = classifier({
      node: [node("Cast", ["w"], ["f"], { to: FLOAT }), node("MatMul", ["x", "f"], ["y"])],
      initializer: [{ name: "w", dims: [4, 3], dataType: 16, rawData: new Uint8Array(bits.buffer) }],
    });
    expect(await goesTheRoad(bytes, X)).toEqual(["w"]);
  });
});

describe("what graphs look like", () => {
  test("unnamed nodes in no order, with empty optional inputs", async () => {
    const bytes = classifier({
      node: [node("Clip", ["h", "", "top"], ["y"]), node("MatMul", ["x", "w"], ["h"])],
      initializer: [W, floats("top", [], [0.4])],
    });
    // ONNX Runtime sorts them too.
    expect(await goesTheRoad(bytes, X)).toEqual(["w"]);
  });

  test("Dropout with its mask, BatchNormalization with the attributes and outputs of old", async () => {
    const norm = (name: string, values: readonly number[]) => floats(name, [3], values);
    const bytes = classifier(
      {
        input: [value("x", ["n", 4])],
        node: [
          node("MatMul", ["x", "w"], ["m"]),
          node("Dropout", ["m"], ["d", "mask"], { ratio: 0.5 }),
          node("BatchNormalization", ["d", "s", "b", "mean", "var"], ["y"], { spatial: 1 }),
        ],
        initializer: [
          W,
          norm("s", [1, 2, 0.5]),
          norm("b", [0, 1, 2]),
          norm("mean", [0.1, 0.2, 0.3]),
          norm("var", [1, 2, 3]),
        ],
      },
      { opset: 7 },
    );
    const imported = load(bytes);
    expect(await goesTheRoad(bytes, X)).toEqual(["w", "s", "b"]);
    expect(imported.parameters.find(({ name }) => name === "var")!.frozenBecause).toMatch(/running variance/);
  });

  test.each([
    [0, 0, 1, 1],
    [1, 0, 0.5, 2],
    [0, 1, 2, 0],
    [1, 1, 1, 0.5],
  ])("Gemm with transA=%d, transB=%d, alpha=%d, beta=%d", async (transA, transB, alpha, beta) => {
    // Whole numbers would be written as integers: these attributes are floats.
    const scalar = (name: string, f: number) => ({ name, type: 1, f });
    const gemm = node("Gemm", ["a", "w", "b"], ["y"], { transA, transB });
    gemm.attribute!.push(scalar("alpha", alpha), scalar("beta", beta));
    const shape = transA ? [4, 2] : [2, 4];
    const bytes = model({
      input: [value("x", shape)],
      output: [value("y", [2, 3])],
      node: [node("Mul", ["x", "g"], ["a"]), gemm],
      initializer: [
        floats("g", [1], [1.5]),
        { ...W, dims: transB ? [3, 4] : [4, 3] },
        floats("b", [3], [1, 2, 3]),
      ],
    });
    const trained = await goesTheRoad(bytes, { x: feed(shape) });
    expect(trained).toContain("w");
  });

  test("shapes worked out in the graph: Shape, Gather, Concat, Reshape", async () => {
    const bytes = classifier({
      input: [value("x", ["n", 2, 2])],
      node: [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["n"], { axis: 0 }),
        node("Unsqueeze", ["n", "zeros"], ["n1"]),
        node("Concat", ["n1", "rest"], ["to"], { axis: 0 }),
        node("Reshape", ["x", "to"], ["f"]),
        node("MatMul", ["f", "w"], ["y"]),
      ],
      initializer: [W, ints("zero", [0], []), ints("zeros", [0]), ints("rest", [-1])],
    });
    expect(await goesTheRoad(bytes, { x: feed([3, 2, 2]) })).toEqual(["w"]);
  });
});

describe("control flow and functions", () => {
  const branch = (name: string, factor: number) => ({
    name,
    node: [node("MatMul", ["x", "v"], ["m"]), node("Mul", ["m", "k"], ["out"])],
    initializer: [floats("v", [4, 3], numbers(12, factor)), floats("k", [3], [factor, 1, 2])],
    output: [value("out", undefined)],
  });

  test.each([true, false])(
    "If with the constant condition %s: the weights of that branch are trained",
    async (taken) => {
      const bytes = classifier({
        node: [node("If", ["c"], ["y"], { then_branch: branch("a", 2), else_branch: branch("b", 3) })],
        initializer: [{ name: "c", dims: [], dataType: 9, rawData: Uint8Array.of(taken ? 1 : 0) }],
      });
      const imported = load(bytes);
      const wanted = await runtime(bytes, X, "y");
      expect(deviation(await forward(imported, X), wanted)).toBeLessThan(1e-5);
      const names = imported.parameters.map(({ name }) => name);
      expect(names).toEqual(["y/then_branch/v", "y/then_branch/k", "y/else_branch/v", "y/else_branch/k"]);
      const inside = taken ? "y/then_branch/v" : "y/else_branch/v";
      const { bytes: after, changed } = patchModel(
        readModel(bytes),
        new Map([[inside, new Float32Array(12)]]),
      );
      expect(changed.map(({ name }) => name)).toEqual([inside]);
      expect(compareStructure(readModel(bytes), readModel(after)).differences).toEqual([]);
      expect((await runtime(after, X, "y")).every((v) => v === 0)).toBe(true);
    },
  );

  test("If on a shape, known when the graph is walked; the branch captures values from outside", async () => {
    const bytes = classifier({
      node: [
        node("MatMul", ["x", "w"], ["h"]),
        node("Size", ["x"], ["size"]),
        node("Equal", ["size", "eight"], ["is"]),
        node("If", ["is"], ["y"], {
          then_branch: { name: "t", node: [node("Relu", ["h"], ["o"])], output: [value("o", undefined)] },
          else_branch: { name: "e", node: [node("Neg", ["h"], ["o"])], output: [value("o", undefined)] },
        }),
      ],
      initializer: [W, ints("eight", [8], [])],
    });
    for (const n of [2, 3]) await goesTheRoad(bytes, { x: feed([n, 4]) });
  });

  test("If on the data is refused with the reason", async () => {
    const bytes = classifier({
      node: [
        node("MatMul", ["x", "w"], ["h"]),
        node("ReduceSum", ["h"], ["s"], { keepdims: 0 }),
        node("Greater", ["s", "zero"], ["is"]),
        node("If", ["is"], ["y"], {
          then_branch: { name: "t", node: [node("Relu", ["h"], ["o"])], output: [value("o", undefined)] },
          else_branch: { name: "e", node: [node("Neg", ["h"], ["o"])], output: [value("o", undefined)] },
        }),
      ],
      initializer: [W, floats("zero", [], [0])],
    });
    await expect(forward(load(bytes), X)).rejects.toThrow(/If ".*" .*input "cond" depends on the data/);
  });

  test("Loop with a constant trip count: carried values, the turn, and a scan output", async () => {
    const body = {
      name: "body",
      input: [value("i", [], INT64), value("go", [], 9), value("h", undefined)],
      node: [
        node("Cast", ["i"], ["t"], { to: FLOAT }),
        node("Add", ["h", "t"], ["a"]),
        node("MatMul", ["a", "w"], ["next"]),
        node("Identity", ["go"], ["on"]),
        node("ReduceMean", ["next"], ["mean"], { axes: [1], keepdims: 0 }),
      ],
      output: [value("on", [], 9), value("next", undefined), value("mean", undefined)],
    };
    const bytes = model({
      input: [value("x", ["n", 4])],
      output: [value("y", undefined)],
      node: [
        node("Loop", ["trips", "", "x"], ["last", "means"], { body }),
        node("Transpose", ["means"], ["m"], { perm: [1, 0] }),
        node("Concat", ["last", "m"], ["y"], { axis: 1 }),
      ],
      initializer: [floats("w", [4, 4], numbers(16, 3)), ints("trips", [3], [])],
    });
    expect(await goesTheRoad(bytes, X)).toEqual(["w"]);
  });

  test("Scan over an axis, forwards and backwards", async () => {
    const body = {
      name: "body",
      input: [value("h", undefined), value("p", undefined)],
      node: [node("Mul", ["p", "w"], ["m"]), node("Add", ["h", "m"], ["s"]), node("Tanh", ["s"], ["o"])],
      output: [value("s", undefined), value("o", undefined)],
    };
    for (const direction of [0, 1]) {
      const bytes = model({
        input: [value("x", [2, 3, 4])],
        output: [value("y", undefined)],
        node: [
          node("Scan", ["start", "x"], ["last", "all"], {
            body,
            num_scan_inputs: 1,
            scan_input_axes: [1],
            scan_input_directions: [direction],
          }),
          node("ReduceSum", ["all"], ["sum"], { keepdims: 0 }),
          node("Add", ["last", "sum"], ["y"]),
        ],
        initializer: [floats("start", [2, 4], numbers(8, 1)), floats("w", [4], numbers(4, 3))],
      });
      const trained = await goesTheRoad(bytes, { x: feed([2, 3, 4]) });
      expect(trained).toContain("w");
    }
  });

  test("a model-local function, called twice: attributes with references and defaults, a Constant inside it tied", async () => {
    const leaky = node("LeakyRelu", ["m"], ["out"]);
    leaky.attribute = [{ name: "alpha", refAttrName: "slope", type: 1 }];
    const bytes = model(
      {
        input: [value("x", ["n", 4])],
        output: [value("y", undefined)],
        node: [
          node("Block", ["x"], ["h"], {}, "local"),
          { ...node("Block", ["h"], ["y"], {}, "local"), attribute: [attribute("slope", 0.5)] },
        ],
      },
      {
        opsetImport: [
          { domain: "", version: 17 },
          { domain: "local", version: 1 },
        ],
        functions: [
          {
            domain: "local",
            name: "Block",
            input: ["in"],
            output: ["out"],
            attribute: ["slope"],
            opsetImport: [{ domain: "", version: 17 }],
            node: [
              node("Constant", [], ["v"], { value: floats("", [4, 4], numbers(16, 4)) }),
              node("MatMul", ["in", "v"], ["m"]),
              leaky,
            ],
          },
        ],
      },
    );
    expect(await goesTheRoad(bytes, X)).toEqual(["local:Block/v"]);
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

describe("heads", () => {
  const tail = (...nodes: ReturnType<typeof node>[]) =>
    classifier({
      node: [node("MatMul", ["x", "w"], ["z"]), ...nodes],
      initializer: [W, ints("column", [-1, 3])],
    });
  test.each([
    ["Softmax", [node("Softmax", ["z"], ["y"])], "probabilities"],
    [
      "LogSoftmax, then Identity",
      [node("LogSoftmax", ["z"], ["p"]), node("Identity", ["p"], ["y"])],
      "log-probabilities",
    ],
    [
      "Sigmoid, then Reshape",
      [node("Sigmoid", ["z"], ["p"]), node("Reshape", ["p", "column"], ["y"])],
      "sigmoid",
    ],
    ["Softmax, then ArgMax", [node("Softmax", ["z"], ["p"]), node("ArgMax", ["p"], ["y"])], "labels"],
    [
      "Softmax, Flatten, Cast",
      [
        node("Softmax", ["z"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("Cast", ["f"], ["y"], { to: FLOAT }),
      ],
      "probabilities",
    ],
  ] as const)("behind %s the logits are found", (_, nodes, outputKind) => {
    expect(load(tail(...nodes)).head).toEqual({ logits: "z", output: "y", outputKind });
  });

  test("a Reshape with nothing behind it is the output itself", () => {
    expect(load(tail(node("Reshape", ["z", "column"], ["y"]))).head).toMatchObject({
      logits: "y",
      outputKind: "logits",
    });
  });

  test("labels that are counted afterwards lead to what ArgMax compares", () => {
    const bytes = classifier({
      output: [value("y", [], INT64)],
      node: [
        node("MatMul", ["x", "w"], ["z"]),
        node("ArgMax", ["z"], ["a"], { axis: 1 }),
        node("ReduceSum", ["a"], ["y"], { keepdims: 0 }),
      ],
      initializer: [W],
    });
    expect(load(bytes).head).toEqual({ logits: "z", output: "y", outputKind: "labels" });
  });

  test("several candidates are refused with the list; --logits chooses", () => {
    const bytes = classifier({
      output: [value("y", ["n", 3]), value("u", ["n", 3])],
      node: [node("MatMul", ["x", "w"], ["y"]), node("Tanh", ["y"], ["u"])],
      initializer: [W],
    });
    expect(() => load(bytes)).toThrow(/several possible logits \(y, u\).*--logits NAME/);
    expect(load(bytes, { logits: "u" }).head.logits).toBe("u");
    expect(() => load(bytes, { logits: "nowhere" })).toThrow(/candidates: y, u/);
  });
});

describe("ai.onnx.ml", () => {
  const machine = (nodes: ReturnType<typeof node>[], outputs: Parameters<typeof model>[0]["output"]) =>
    model(
      { input: [value("x", ["n", 4])], output: outputs, node: nodes },
      {
        opsetImport: [
          { domain: "", version: 17 },
          { domain: "ai.onnx.ml", version: 1 },
        ],
      },
    );
  test.each(["SOFTMAX", "LOGISTIC", "NONE"])(
    "LinearClassifier with post_transform %s: its coefficients are trained where they stand, in attributes",
    async (post_transform) => {
      const bytes = machine(
        [
          node(
            "LinearClassifier",
            ["x"],
            ["label", "scores"],
            {
              classlabels_ints: [0, 1, 2],
              coefficients: Float32Array.from(numbers(12, 3)),
              intercepts: Float32Array.of(0.1, -0.2, 0.3),
              post_transform,
            },
            "ai.onnx.ml",
          ),
        ],
        [value("label", ["n"], INT64), value("scores", ["n", 3])],
      );
      expect(load(bytes).head.logits).toBe("label/logits");
      expect(await goesTheRoad(bytes, X, { logits: "scores" })).toEqual([
        "label/coefficients",
        "label/intercepts",
      ]);
    },
  );

  test("LinearClassifier with more coefficients than its input has columns for: the first ones count, the rest stay", async () => {
    const bytes = machine(
      [
        node(
          "LinearClassifier",
          ["x"],
          ["label", "scores"],
          {
            classlabels_ints: [0, 1, 2],
            coefficients: Float32Array.from(numbers(18, 3)),
            intercepts: Float32Array.of(0.1, -0.2, 0.3),
            post_transform: "LOGISTIC",
          },
          "ai.onnx.ml",
        ),
      ],
      [value("label", ["n"], INT64), value("scores", ["n", 3])],
    );
    expect(await goesTheRoad(bytes, X, { logits: "scores" })).toEqual([
      "label/coefficients",
      "label/intercepts",
    ]);
  });

  test("trees are refused by name", () => {
    const bytes = machine(
      [node("TreeEnsembleRegressor", ["x"], ["y"], {}, "ai.onnx.ml")],
      [value("y", ["n", 1])],
    );
    expect(() => load(bytes)).toThrow(/TreeEnsembleRegressor "y" decides by trees/);
  });

  test("a graph that trains already is refused by name", () => {
    const bytes = classifier({
      node: [node("MatMul", ["x", "w"], ["y"]), node("SoftmaxGrad", ["y", "y"], ["g"], {}, "com.microsoft")],
      initializer: [W],
    });
    expect(() => load(bytes)).toThrow(/already a training graph \(it holds SoftmaxGrad "g"\)/);
  });
});
