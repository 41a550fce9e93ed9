import { describe, expect, test } from "vitest";
import { FLOAT, INT64, ints, load, model, node, numbers, value } from "./build.ts";
import { classifier, goesTheRoad, W, X } from "./road.ts";

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
    expect(() => load(bytes)).toThrow(/several possible logits \(y, u\); choose one of them/);
    expect(load(bytes, { logits: "u" }).head.logits).toBe("u");
    expect(() => load(bytes, { logits: "nowhere" })).toThrow(/candidates: y, u/);
  });
});

describe("ai.onnx.ml", () => {
  const machine = (
    nodes: ReturnType<typeof node>[],
    outputs: Parameters<typeof model>[0]["output"],
    initializer: (typeof W)[] = [],
  ) =>
    model(
      { input: [value("x", ["n", 4])], output: outputs, node: nodes, initializer },
      {
        opsetImport: [
          { domain: "", version: 17 },
          { domain: "ai.onnx.ml", version: 1 },
        ],
      },
    );
  const linearClassifier = (coefficients: number, post_transform: string) =>
    machine(
      [
        node(
          "LinearClassifier",
          ["x"],
          ["label", "scores"],
          {
            classlabels_ints: [0, 1, 2],
            coefficients: Float32Array.from(numbers(coefficients, 3)),
            intercepts: Float32Array.of(0.1, -0.2, 0.3),
            post_transform,
          },
          "ai.onnx.ml",
        ),
      ],
      [value("label", ["n"], INT64), value("scores", ["n", 3])],
    );
  const TRAINED = ["label/coefficients", "label/intercepts"];
  test.each(["SOFTMAX", "LOGISTIC", "NONE"])(
    "LinearClassifier with post_transform %s: its coefficients are trained where they stand, in attributes",
    async (post_transform) => {
      const bytes = linearClassifier(12, post_transform);
      expect(load(bytes).head.logits).toBe("label/logits");
      expect(await goesTheRoad(bytes, X, { logits: "scores" })).toEqual(TRAINED);
    },
  );

  test("LinearClassifier with more coefficients than its input has columns for: the first ones count, the rest stay", async () => {
    expect(await goesTheRoad(linearClassifier(18, "LOGISTIC"), X, { logits: "scores" })).toEqual(TRAINED);
  });

  test("ZipMap, whose output is no tensor: the logits behind it are found and trained", async () => {
    const bytes = machine(
      [
        node("Gemm", ["x", "w"], ["z"]),
        node("Softmax", ["z"], ["p"]),
        node("ArgMax", ["p"], ["label"], { axis: 1, keepdims: 0 }),
        node("ZipMap", ["p"], ["map"], { classlabels_int64s: [0, 1, 2] }, "ai.onnx.ml"),
      ],
      [value("label", ["n"], INT64), { name: "map" }],
      [W],
    );
    // The labels are what ONNX Runtime can hand out here.
    expect(load(bytes).head).toEqual({ logits: "z", output: "label", outputKind: "labels" });
    expect(await goesTheRoad(bytes, X)).toEqual(["w"]);
    const alone = machine(
      [
        node("Gemm", ["x", "w"], ["z"]),
        node("Sigmoid", ["z"], ["p"]),
        node("ZipMap", ["p"], ["map"], { classlabels_int64s: [0, 1, 2] }, "ai.onnx.ml"),
      ],
      [{ name: "map" }],
      [W],
    );
    expect(load(alone).head.logits).toBe("z");
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
