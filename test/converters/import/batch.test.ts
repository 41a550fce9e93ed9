import { describe, expect, test } from "vitest";
import { type Feed, floats, forward, ints, load, model, node, numbers, runtime, value } from "./build.ts";
import { feed, goesTheRoad } from "./road.ts";

/** ONNX Runtime on one piece after the other: what a larger batch has to equal. */
async function pieceByPiece(bytes: Uint8Array, output: string, { dims, data }: Feed, pieces: number) {
  const width = data.length / pieces;
  const own = [dims[0]! / pieces, ...dims.slice(1)];
  const out: number[] = [];
  for (let i = 0; i < pieces; i++)
    out.push(
      ...(await runtime(bytes, { x: { dims: own, data: data.slice(i * width, (i + 1) * width) } }, output)),
    );
  return out;
}

const linear = (k: number, n: number) => floats("w", [k, n], numbers(k * n, 3));

interface Case {
  readonly what: string;
  readonly input: readonly number[];
  readonly kind: "rebatched" | "split";
  readonly bytes: Uint8Array;
}

const graphOf = (
  input: readonly number[],
  nodes: ReturnType<typeof node>[],
  initializer: ReturnType<typeof floats>[],
): Uint8Array =>
  model({ node: nodes, initializer, input: [value("x", input)], output: [value("y", undefined)] });

const cases: Case[] = [
  {
    what: "Reshape to [1, 12] before the classifier",
    input: [1, 3, 2, 2],
    kind: "rebatched",
    bytes: graphOf(
      [1, 3, 2, 2],
      [node("Reshape", ["x", "shape"], ["f"]), node("MatMul", ["f", "w"], ["y"])],
      [ints("shape", [1, 12]), linear(12, 5)],
    ),
  },
  {
    what: "Reshape to [1, -1], which would swallow the batch",
    input: [1, 3, 4],
    kind: "rebatched",
    bytes: graphOf(
      [1, 3, 4],
      [node("Reshape", ["x", "shape"], ["f"]), node("MatMul", ["f", "w"], ["y"])],
      [ints("shape", [1, -1]), linear(12, 5)],
    ),
  },
  {
    what: "batch folded into rows and back: [6, 4] in the middle",
    input: [1, 6, 4],
    kind: "rebatched",
    bytes: graphOf(
      [1, 6, 4],
      [
        node("Reshape", ["x", "rows"], ["r"]),
        node("MatMul", ["r", "w"], ["m"]),
        node("Relu", ["m"], ["a"]),
        node("Reshape", ["a", "back"], ["b"]),
        node("ReduceMean", ["b"], ["y"], { axes: [1], keepdims: 0 }),
      ],
      [ints("rows", [6, 4]), linear(4, 3), ints("back", [1, 6, 3])],
    ),
  },
  {
    what: "heads split off with the batch behind the sequence: [S, 1, E] → [S, heads, d]",
    input: [1, 4, 6],
    kind: "rebatched",
    bytes: graphOf(
      [1, 4, 6],
      [
        node("MatMul", ["x", "w"], ["q"]),
        node("Transpose", ["q"], ["s"], { perm: [1, 0, 2] }),
        node("Reshape", ["s", "split"], ["h"]),
        node("Transpose", ["h"], ["t"], { perm: [1, 0, 2] }),
        node("Transpose", ["h"], ["u"], { perm: [1, 2, 0] }),
        node("MatMul", ["t", "u"], ["scores"]),
        node("Softmax", ["scores"], ["p"], { axis: -1 }),
        node("MatMul", ["p", "t"], ["c"]),
        node("Transpose", ["c"], ["d"], { perm: [1, 0, 2] }),
        node("Reshape", ["d", "merge"], ["e"]),
        node("Transpose", ["e"], ["y"], { perm: [1, 0, 2] }),
      ],
      [linear(6, 6), ints("split", [4, 2, 3]), ints("merge", [4, 1, 6])],
    ),
  },
  {
    what: "a start token of batch 1, expanded and put before the sequence",
    input: [1, 3, 4],
    kind: "rebatched",
    bytes: graphOf(
      [1, 3, 4],
      [
        node("Expand", ["token", "shape"], ["t"]),
        node("Concat", ["t", "x"], ["c"], { axis: 1 }),
        node("MatMul", ["c", "w"], ["m"]),
        node("Slice", ["m", "from", "to"], ["y"]),
      ],
      [
        floats("token", [1, 1, 4], numbers(4, 9)),
        ints("shape", [1, 1, 4]),
        linear(4, 2),
        ints("from", [0, 0, 0]),
        ints("to", [1, 1, 2]),
      ],
    ),
  },
  {
    what: "an LSTM whose initial state is a constant of batch 1",
    input: [1, 3, 2],
    kind: "rebatched",
    bytes: graphOf(
      [1, 3, 2],
      [
        node("Transpose", ["x"], ["t"], { perm: [1, 0, 2] }),
        node("LSTM", ["t", "w", "r", "", "", "h", "c"], ["", "last", ""], { hidden_size: 2 }),
        node("Reshape", ["last", "shape"], ["y"]),
      ],
      [
        floats("w", [1, 8, 2], numbers(16, 2)),
        floats("r", [1, 8, 2], numbers(16, 4)),
        floats("h", [1, 1, 2], numbers(2, 5)),
        floats("c", [1, 1, 2], numbers(2, 6)),
        ints("shape", [1, 2]),
      ],
    ),
  },
  {
    what: "NHWC images between layout Transposes, flattened to [1, 8]",
    input: [1, 3, 3, 2],
    kind: "rebatched",
    bytes: graphOf(
      [1, 3, 3, 2],
      [
        node("Transpose", ["x"], ["p"], { perm: [0, 3, 1, 2] }),
        node("Conv", ["p", "k"], ["c"]),
        node("Transpose", ["c"], ["q"], { perm: [0, 2, 3, 1] }),
        node("Reshape", ["q", "flat"], ["f"]),
        node("MatMul", ["f", "w"], ["y"]),
      ],
      [floats("k", [2, 2, 2, 2], numbers(16, 8)), ints("flat", [1, 8]), linear(8, 3)],
    ),
  },
  {
    what: "a file with batch 2",
    input: [2, 4],
    kind: "rebatched",
    bytes: graphOf(
      [2, 4],
      [
        node("MatMul", ["x", "w"], ["m"]),
        node("Reshape", ["m", "shape"], ["r"]),
        node("ReduceSum", ["r", "axes"], ["y"], { keepdims: 0 }),
      ],
      [linear(4, 6), ints("shape", [2, 3, 2]), ints("axes", [2])],
    ),
  },
  {
    what: "a softmax along the batch, which mixes samples",
    input: [2, 3],
    kind: "split",
    bytes: graphOf(
      [2, 3],
      [
        node("MatMul", ["x", "w"], ["m"]),
        node("Softmax", ["m"], ["s"], { axis: 0 }),
        node("Sqrt", ["s"], ["y"]),
      ],
      [linear(3, 4)],
    ),
  },
  {
    what: "the batch dropped by a Gather",
    input: [1, 3, 4],
    kind: "split",
    bytes: graphOf(
      [1, 3, 4],
      [node("Gather", ["x", "zero"], ["g"], { axis: 0 }), node("MatMul", ["g", "w"], ["y"])],
      [ints("zero", [0], []), linear(4, 2)],
    ),
  },
  {
    what: "a mean over everything",
    input: [1, 3, 4],
    kind: "split",
    bytes: graphOf(
      [1, 3, 4],
      [node("MatMul", ["x", "w"], ["m"]), node("ReduceMean", ["m"], ["y"], { keepdims: 0 })],
      [linear(4, 2)],
    ),
  },
];

describe("a fixed batch, run at another size, equals ONNX Runtime piece by piece", () => {
  test.each(cases)("$what: $kind", async ({ input, kind, bytes }) => {
    const imported = load(bytes);
    expect(imported.batching).toMatchObject({ kind, size: input[0] });
    for (const pieces of [1, 3]) {
      const x = feed([input[0]! * pieces, ...input.slice(1)]);
      const run = (file: Uint8Array, output: string) => pieceByPiece(file, output, x, pieces);
      await goesTheRoad(bytes, { x }, { run });
    }
  });

  test("a batch that is no whole number of pieces is refused with what to do", async () => {
    const { bytes } = cases.find(({ what }) => what.includes("softmax"))!;
    const imported = load(bytes);
    await expect(forward(imported, { x: { dims: [3, 3], data: numbers(9) } })).rejects.toThrow(
      /2 samples at a time .*along the batch axis 0.*multiple of 2/,
    );
  });
});

describe("a free batch: are samples treated one by one?", () => {
  const free = (
    nodes: ReturnType<typeof node>[],
    weights: ReturnType<typeof floats>[],
    dims: readonly number[] = [3],
    options: Parameters<typeof model>[1] = {},
  ) =>
    load(
      model(
        {
          node: nodes,
          initializer: weights,
          input: [value("x", ["N", ...dims])],
          output: [value("y", undefined)],
        },
        options,
      ),
    ).mixes({ x: { shape: [4, ...dims], dtype: "float32" } });
  const product = node("MatMul", ["x", "w"], ["m"]);

  test("a matrix product and a softmax over classes: yes", () => {
    expect(free([product, node("Softmax", ["m"], ["y"], { axis: 1 })], [linear(3, 4)])).toBeUndefined();
  });
  test("a softmax over the batch, a batch's mean taken off: no, with the node", () => {
    const along = [product, node("Softmax", ["m"], ["s"], { axis: 0 }), node("Sqrt", ["s"], ["y"])];
    expect(free(along, [linear(3, 4)])).toMatch(/Softmax.*batch axis 0/);
    const mean = [
      product,
      node("ReduceMean", ["m"], ["mean"], { axes: [0] }),
      node("Sub", ["m", "mean"], ["y"]),
    ];
    expect(free(mean, [linear(3, 4)])).toMatch(/ReduceMean/);
  });
  test("MeanVarianceNormalization: its default axes hold the batch", () => {
    const image = [node("Conv", ["x", "k"], ["c"])];
    const kernel = floats("k", [2, 3, 1, 1], numbers(6, 2));
    const over = (axes?: number[]) =>
      free(
        [...image, node("MeanVarianceNormalization", ["c"], ["y"], axes ? { axes } : {})],
        [kernel],
        [3, 2, 2],
      );
    expect(over()).toMatch(/MeanVarianceNormalization.*batch axis 0/);
    expect(over([1, 2, 3])).toBeUndefined();
  });
  test.each([
    [0, true],
    [-2, true],
    [1, false],
    [-1, false],
  ])("CumSum along axis %i: mixes %s", (axis, mixes) => {
    const why = free(
      [product, node("CumSum", ["m", "axis"], ["y"])],
      [linear(3, 4), ints("axis", [axis], [])],
    );
    if (mixes) expect(why).toMatch(/CumSum.*batch axis 0/);
    else expect(why).toBeUndefined();
  });
  const reversed = [ints("from", [-1]), ints("to", [-100]), ints("axis", [0]), ints("step", [-1])];
  test.each([
    [
      "Slice",
      "a batch in reverse order",
      [node("Slice", ["m", "from", "to", "axis", "step"], ["y"])],
      reversed,
    ],
    [
      "Gather",
      "rows picked by a sample's own numbers",
      [
        node("Cast", ["x"], ["i"], { to: 7 }),
        node("ReduceSum", ["i", "one"], ["j"], { keepdims: 0 }),
        node("Gather", ["m", "j"], ["y"]),
      ],
      [ints("one", [1])],
    ],
    [
      "Reshape",
      "classes first, then samples",
      [node("Reshape", ["m", "shape"], ["y"])],
      [ints("shape", [4, -1])],
    ],
    ["DynamicQuantizeLinear", "one scale for the batch", [node("DynamicQuantizeLinear", ["m"], ["y"])], []],
  ] as const)("%s: %s", (operator, _, nodes, more) => {
    expect(free([product, ...nodes], [linear(3, 4), ...more])).toMatch(new RegExp(`^${operator} `));
  });
  test("before opset 13 a softmax takes all axes from its own on", () => {
    const nodes = [
      node("MatMul", ["x", "w"], ["m"]),
      node("Transpose", ["m"], ["t"], { perm: [1, 0, 2] }),
      node("Softmax", ["t"], ["s"], { axis: 1 }),
      node("Sqrt", ["s"], ["y"]),
    ];
    const weights = [linear(3, 4)];
    expect(free(nodes, weights, [2, 3], { opsetImport: [{ domain: "", version: 11 }] })).toMatch(
      /Softmax.*batch axis 1/,
    );
    expect(free(nodes, weights, [2, 3])).toMatch(/Softmax.*batch axis 1/);
  });
});
