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
import { classifier, feed, goesTheRoad, W, X } from "./road.ts";

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

  test("tied behind two Identities and a Transpose", async () => {
    const bytes = classifier({
      output: [value("y", ["n", 4])],
      node: [
        node("Identity", ["w"], ["i"]),
        node("MatMul", ["x", "i"], ["h"]),
        node("Identity", ["w"], ["j"]),
        node("Transpose", ["j"], ["t"], { perm: [1, 0] }),
        node("MatMul", ["h", "t"], ["y"]),
      ],
      initializer: [floats("w", [4, 4], numbers(16, 3))],
    });
    expect(await goesTheRoad(bytes, X)).toEqual(["w"]);
  });

  const bits = (of: (v: number) => number) => numbers(12, 2).map(of);
  const bfloat = (v: number) => new Uint32Array(Float32Array.of(v).buffer)[0]! >>> 16;
  test.each([
    ["float_data", { dataType: FLOAT, floatData: numbers(12, 2) }],
    ["double_data", { dataType: 11, doubleData: numbers(12, 2) }],
    ["float16 in int32_data", { dataType: 10, int32Data: bits(toFloat16Bits) }],
    ["bfloat16 in int32_data", { dataType: 16, int32Data: bits(bfloat) }],
  ])("in the typed field %s instead of raw_data, the shape in int64_data", async (_, payload) => {
    const bytes = classifier({
      node: [
        node("Cast", ["w"], ["f"], { to: FLOAT }),
        node("Reshape", ["f", "shape"], ["m"]),
        node("MatMul", ["x", "m"], ["y"]),
      ],
      initializer: [
        { name: "w", dims: [12], ...payload },
        { name: "shape", dims: [2], dataType: INT64, int64Data: [4, 3] },
      ],
    });
    expect(await goesTheRoad(bytes, X)).toEqual(["w"]);
  });
});

describe("what graphs look like", () => {
  test("nodes that are not topologically sorted, as ONNX Runtime takes them too", async () => {
    const bytes = classifier({
      node: [node("Add", ["h", "b"], ["y"]), node("Tanh", ["m"], ["h"]), node("MatMul", ["x", "w"], ["m"])],
      initializer: [W, floats("b", [3], [1, 2, 3])],
    });
    expect(await goesTheRoad(bytes, X)).toEqual(["w", "b"]);
  });

  test("nodes without a name: a refusal names them by their output", async () => {
    const named = (names: readonly string[]) =>
      classifier({
        node: [node("MatMul", ["x", "w"], ["m"]), node("Tanh", ["m"], ["y"])].map((one, i) => ({
          ...one,
          name: names[i]!,
        })),
        initializer: [W],
      });
    expect(await goesTheRoad(named(["", ""]), X)).toEqual(["w"]);
    expect(await goesTheRoad(named(["first", ""]), X)).toEqual(["w"]);
    const unknown = classifier({
      node: [node("MatMul", ["x", "w"], ["m"]), node("Magic", ["m"], ["y"], {}, "acme")],
      initializer: [W],
    });
    expect(() => load(unknown)).toThrow(/Magic "y"/);
  });

  test.each([
    ["Clip without its lower bound", [node("Clip", ["m", "", "top"], ["y"])]],
    [
      "Resize without its region",
      [
        node("Unsqueeze", ["m", "one"], ["u"]),
        node("Resize", ["u", "", "scales"], ["larger"]),
        node("ReduceSum", ["larger", "one"], ["y"], { keepdims: 0 }),
      ],
    ],
    [
      "LSTM without bias, lengths and states, and with one of three outputs",
      [
        // The rows are a sequence: its last state depends on those before.
        node("Unsqueeze", ["m", "one"], ["u"]),
        node("LSTM", ["u", "k", "r", "", "", "", ""], ["", "last"], { hidden_size: 3 }),
        node("Squeeze", ["last", "zero"], ["y"]),
      ],
    ],
  ])("empty optional inputs: %s", async (_, nodes) => {
    const initializer = [
      W,
      floats("top", [], [0.4]),
      floats("scales", [3], [1, 1, 2]),
      floats("k", [1, 12, 3], numbers(36, 4)),
      floats("r", [1, 12, 3], numbers(36, 5)),
      ints("zero", [0]),
      ints("one", [1]),
    ];
    const bytes = classifier({ node: [node("MatMul", ["x", "w"], ["m"]), ...nodes], initializer });
    expect(await goesTheRoad(bytes, X)).toContain("w");
  });

  test.each([
    [7, [], { ratio: 0.5 }],
    [10, [], { ratio: 0.5 }],
    [12, ["ratio", "training"], {}],
    [13, ["ratio"], {}],
    [22, [], {}],
  ] as const)("Dropout of opset %d with its mask, which is used", async (opset, more, attributes) => {
    const bytes = classifier(
      {
        node: [
          node("MatMul", ["x", "w"], ["m"]),
          node("Dropout", ["m", ...more], ["d", "mask"], attributes),
          node("Cast", ["mask"], ["kept"], { to: FLOAT }),
          node("Add", ["d", "kept"], ["y"]),
        ],
        initializer: [
          W,
          floats("ratio", [], [0.5]),
          { name: "training", dims: [], dataType: 9, rawData: Uint8Array.of(0) },
        ],
      },
      { opset },
    );
    expect(await goesTheRoad(bytes, X)).toEqual(["w"]);
  });

  const normalized = (
    opset: number,
    attributes: Readonly<Record<string, unknown>>,
    more: readonly string[] = [],
  ) =>
    model(
      {
        input: [value("x", ["n", 2, 3, 3])],
        output: [value("y", undefined)],
        node: [
          node("Conv", ["x", "w"], ["c"], { kernel_shape: [2, 2] }),
          node("BatchNormalization", ["c", "scale", "shift", "mean", "var"], ["y", ...more], attributes),
        ],
        initializer: [
          floats("w", [3, 2, 2, 2], numbers(24, 2)),
          floats("scale", [3], [1, 2, 0.5]),
          floats("shift", [3], [0, 1, 2]),
          floats("mean", [3], [0.1, 0.2, 0.3]),
          floats("var", [3], [1, 2, 3]),
        ],
      },
      { opset },
    );
  const images = { x: feed([2, 2, 3, 3]) };

  test.each([
    [7, { spatial: 1 }],
    [9, {}],
    [14, { training_mode: 0 }],
  ])("BatchNormalization of opset %d with attributes %j", async (opset, attributes) => {
    const bytes = normalized(opset, attributes);
    expect(await goesTheRoad(bytes, images)).toEqual(["w", "scale", "shift"]);
    const variance = load(bytes).parameters.find(({ name }) => name === "var")!;
    expect(variance.frozenBecause).toMatch(/running variance/);
  });

  test("BatchNormalization with its outputs for training is refused: ONNX Runtime takes batch statistics there", async () => {
    const bytes = normalized(9, {}, ["mean out", "var out", "saved mean", "saved var"]);
    const [both, first] = [images.x, { dims: [1, 2, 3, 3], data: images.x.data.slice(0, 18) }];
    const [inBoth, alone] = [await runtime(bytes, { x: both }, "y"), await runtime(bytes, { x: first }, "y")];
    expect(deviation(inBoth.slice(0, alone.length), alone)).toBeGreaterThan(0.01);
    await expect(forward(load(bytes), images)).rejects.toThrow(
      /BatchNormalization "y" .*4 outputs besides its first uses batch statistics.*eval mode/,
    );
  });

  test.each([
    ["grouped", [2, 4, 4, 3], [6, 2, 2, 2], { group: 2 }],
    ["depthwise", [2, 3, 4, 4], [3, 1, 3, 3], { group: 3, pads: [1, 1, 1, 1] }],
    ["dilated", [2, 2, 5, 5], [3, 2, 2, 2], { dilations: [2, 3] }],
    ["1-D", [2, 2, 7], [3, 2, 3], { strides: [2], pads: [1, 0] }],
    ["3-D", [2, 2, 3, 3, 3], [2, 2, 2, 2, 2], { pads: [0, 1, 0, 1, 0, 0] }],
    ["with asymmetric padding", [2, 2, 4, 4], [3, 2, 3, 3], { pads: [0, 1, 2, 1] }],
    ["SAME_UPPER", [2, 2, 4, 5], [3, 2, 2, 3], { auto_pad: "SAME_UPPER", strides: [1, 2] }],
    ["SAME_LOWER", [2, 2, 4, 5], [3, 2, 2, 3], { auto_pad: "SAME_LOWER", strides: [1, 2] }],
  ] as const)("a convolution that is %s", async (_, shape, kernel, attributes) => {
    const bytes = model({
      input: [value("x", ["n", ...shape.slice(1)])],
      output: [value("y", undefined)],
      node: [
        node("Conv", ["x", "k", "b"], ["c"], attributes),
        node("Tanh", ["c"], ["t"]),
        node("Flatten", ["t"], ["y"]),
      ],
      initializer: [
        floats("k", kernel, numbers((kernel as readonly number[]).reduce((a, b) => a * b, 1))),
        floats("b", [kernel[0]], numbers(kernel[0], 5)),
      ],
    });
    expect(await goesTheRoad(bytes, { x: feed(shape) })).toEqual(["k", "b"]);
  });

  const toChannelsFirst = { perm: [0, 3, 1, 2] };
  const toChannelsLast = { perm: [0, 2, 3, 1] };
  test.each([
    ["the filter stored O,I,h,w", [3, 2, 2, 2], [node("Conv", ["p", "k"], ["c"])]],
    [
      "the filter stored h,w,I,O and transposed in the graph",
      [2, 2, 2, 3],
      [node("Transpose", ["k"], ["kt"], { perm: [3, 2, 0, 1] }), node("Conv", ["p", "kt"], ["c"])],
    ],
  ])("NHWC images between layout Transposes, %s", async (_, kernel, convolution) => {
    const bytes = model({
      input: [value("x", ["n", 3, 3, 2])],
      output: [value("y", ["n", 3])],
      node: [
        node("Transpose", ["x"], ["p"], toChannelsFirst),
        ...convolution,
        node("Transpose", ["c"], ["q"], toChannelsLast),
        node("Add", ["q", "b"], ["s"]),
        node("Tanh", ["s"], ["a"]),
        node("Transpose", ["a"], ["r"], toChannelsFirst),
        node("MaxPool", ["r"], ["m"], { kernel_shape: [2, 1] }),
        node("Transpose", ["m"], ["l"], toChannelsLast),
        node("Reshape", ["l", "flat"], ["f"]),
        node("MatMul", ["f", "v"], ["y"]),
      ],
      initializer: [
        floats("k", kernel, numbers(24)),
        floats("b", [3], [0.1, 0.2, 0.3]),
        floats("v", [6, 3], numbers(18, 4)),
        ints("flat", [-1, 6]),
      ],
    });
    expect(await goesTheRoad(bytes, { x: feed([2, 3, 3, 2]) })).toEqual(["k", "b", "v"]);
  });

  // Before IR version 4 every initializer is a graph input as well.
  test.each(Array.from({ length: 13 }, (_, i) => i + 1))("IR version %d", async (irVersion) => {
    const bytes = classifier(
      {
        input: [value("x", ["n", 4]), ...(irVersion < 4 ? [value("w", [4, 3])] : [])],
        node: [node("MatMul", ["x", "w"], ["y"])],
        initializer: [W],
      },
      { irVersion, opset: irVersion < 4 ? 7 : 17 },
    );
    expect(await goesTheRoad(bytes, X)).toEqual(["w"]);
  });

  const scalar = (name: string, f: number) => ({ name, type: 1, f });
  const transposed = [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ] as const;
  test.each(transposed)(
    "Gemm with transA=%d, transB=%d, every alpha and beta, and no bias",
    async (transA, transB) => {
      const shape = transA ? [4, 2] : [2, 4];
      for (const alpha of [1, 0.5])
        for (const beta of [1, 0.5, 0, undefined]) {
          // Whole numbers would be written as integers: these attributes are floats.
          const gemm = node("Gemm", ["a", "w", ...(beta === undefined ? [] : ["b"])], ["y"], {
            transA,
            transB,
          });
          gemm.attribute!.push(scalar("alpha", alpha), ...(beta === undefined ? [] : [scalar("beta", beta)]));
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
          // Nothing computes with a bias that beta = 0 drops.
          expect(await goesTheRoad(bytes, { x: feed(shape) })).toEqual(beta ? ["w", "b"] : ["w"]);
        }
    },
  );

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

describe("arithmetic on narrow integers wraps around, as in ONNX Runtime", () => {
  const columns = [250, 3, 200, 7, 90, 255, 0, 128];
  const onCodes = (
    code: number,
    from: ReturnType<typeof node>[],
    arithmetic: ReturnType<typeof node>[],
  ): Parameters<typeof classifier>[0] => ({
    node: [
      ...from,
      ...arithmetic,
      node("Cast", ["q"], ["f"], { to: FLOAT }),
      node("Mul", ["f", "small"], ["s"]),
      node("MatMul", ["s", "w"], ["y"]),
    ],
    initializer: [
      W,
      floats("large", [], [code < 4 ? 250 : 65000]),
      floats("small", [], [code < 4 ? 0.01 : 0.00003]),
      ints("b", [100, 5, 120, 77]),
    ],
  });
  const types = [
    ["uint8", 2],
    ["int8", 3],
    ["uint16", 4],
    ["int16", 5],
  ] as const;
  const shapes = [node("Reshape", ["c", "like"], ["r"]), node("Transpose", ["r"], ["t"], { perm: [0, 1] })];

  test.each(types)("%s, made by Cast", async (_, code) => {
    const cast = [
      node("Mul", ["x", "large"], ["l"]),
      node("Cast", ["l"], ["c"], { to: code }),
      node("Cast", ["b"], ["d"], { to: code }),
      node("Shape", ["x"], ["like"]),
    ];
    for (const op of ["Add", "Sub", "Mul"]) {
      const bytes = classifier(onCodes(code, cast, [...shapes, node(op, ["t", "d"], ["q"])]));
      expect(await goesTheRoad(bytes, X), op).toEqual(["w"]);
    }
    const unary = code % 2 ? ["Neg", "Abs", "BitwiseNot"] : ["BitwiseNot"];
    for (const op of unary) {
      const bytes = classifier(onCodes(code, cast, [...shapes, node(op, ["t"], ["q"])]), { opset: 18 });
      expect(await goesTheRoad(bytes, X), op).toEqual(["w"]);
    }
  });

  test("a uint8 input, its nodes in no order", async () => {
    const { node: nodes, ...rest } = onCodes(2, [], [node("Add", ["t", "t"], ["q"])]);
    const graph = { ...rest, input: [value("x", ["n", 4], 2)] };
    const more = [node("Transpose", ["i"], ["t"], { perm: [0, 1] }), node("Identity", ["x"], ["i"])];
    const x: Feed = { dims: [2, 4], data: columns, type: "uint8" };
    expect(await goesTheRoad(classifier({ ...graph, node: [...nodes!, ...more] }), { x })).toEqual(["w"]);
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

  test("If on a shape, known when the graph is imported; the branch captures values from outside", async () => {
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

  test("a body for an operator known here is not used: quantised weights beside it are still found and written", async () => {
    const bytes = classifier(
      {
        node: [
          node("DequantizeLinear", ["codes", "scale"], ["w"]),
          node("MatMul", ["x", "w"], ["h"]),
          node("QuickGelu", ["h"], ["y"], {}, "com.microsoft"),
        ],
        initializer: [
          codes("codes", 3, [4, 3], [1, -3, 5, 7, -9, 11, 13, 15, -17, 19, 21, 23]),
          floats("scale", [], [0.05]),
        ],
      },
      {
        opsetImport: [
          { domain: "", version: 17 },
          { domain: "com.microsoft", version: 1 },
        ],
        functions: [
          {
            domain: "com.microsoft",
            name: "QuickGelu",
            input: ["in"],
            output: ["out"],
            opsetImport: [{ domain: "", version: 17 }],
            node: [
              node("Constant", [], ["alpha"], { value: floats("", [], [1.702]) }),
              node("Mul", ["in", "alpha"], ["scaled"]),
              node("Sigmoid", ["scaled"], ["gate"]),
              node("Mul", ["in", "gate"], ["out"]),
            ],
          },
        ],
      },
    );
    const imported = load(bytes);
    expect(imported.parameters.map(({ name }) => name)).toEqual(["codes", "scale"]);
    expect(await goesTheRoad(bytes, X, { tolerance: 1e-4 })).toEqual(["codes"]);
  });
});
