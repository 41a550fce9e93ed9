import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { floats, INT64, model, node, numbers, value } from "../../converters/import/build.ts";
import { MODEL, run, temporary } from "./cli.ts";

const put = (bytes: Uint8Array): string => {
  const path = join(temporary(), "model.onnx");
  writeFileSync(path, bytes);
  return path;
};
const json = async (path: string, ...flags: string[]) => {
  const { code, stdout } = await run("inspect", path, "--json", ...flags);
  return { code, document: JSON.parse(stdout) };
};
const W = floats("w", [4, 3], numbers(12, 2));

test("a model that can be trained: exit 0, and everything a user asks first", async () => {
  const { code, document } = await json(MODEL);
  expect(code).toBe(0);
  expect(document).toMatchObject({
    trainable: true,
    refusal: null,
    inputs: [{ name: "input", dtype: "float32", dims: ["batch", 1, 8, 8] }],
    batching: { kind: "free" },
    head: { logits: "logits", output: "logits", outputKind: "logits" },
    classes: 10,
    weights: { tensors: 8, trainableTensors: 8, elements: 19178, trainableElements: 19178 },
    suggestedTrain: [],
  });
  expect(document.operators).toContainEqual({
    domain: "ai.onnx",
    operator: "Conv",
    count: 3,
    mark: "trainable",
    because: null,
  });
  // Five copies of 19,178 float32: weight and momentum twice, the gradient once.
  expect(document.memory.weightsBytes).toBe(5 * 4 * 19178);
  // At least what the first convolution makes, [16, 8, 8], and its gradient.
  expect(document.memory.bytesPerSample).toBeGreaterThan(2 * 4 * 16 * 64);
});

test("the table marks weights and operators", async () => {
  const { code, stdout } = await run("inspect", MODEL, "--freeze", "11.*");
  expect(code).toBe(0);
  expect(stdout).toMatch(/· +│ 11\.weight +│ float32 │ \[10, 512\] +│ 5120 +│ --freeze/);
  expect(stdout).toMatch(/✓ +│ Conv +│ 3/);
  expect(stdout).toMatch(/6 of 8 tensors are trained: 14048 of 19178 weights/);
  expect(stdout).toMatch(/can be trained\n$/);
});

test("a fixed batch: whether it can be changed, or why not", async () => {
  const fixed = (...nodes: ReturnType<typeof node>[]) =>
    put(
      model({ input: [value("x", [1, 4])], output: [value("y", undefined)], node: nodes, initializer: [W] }),
    );
  const free = await json(fixed(node("MatMul", ["x", "w"], ["y"])));
  expect(free.document).toMatchObject({ fixedBatch: 1, batching: { kind: "rebatched", size: 1 } });
  const mixed = await json(
    fixed(node("MatMul", ["x", "w"], ["m"]), node("ReduceMean", ["m"], ["y"], { axes: [0] })),
  );
  expect(mixed.document.batching).toMatchObject({ kind: "split", size: 1 });
  expect(mixed.document.batching.because).toMatch(/ReduceMean "y".*no longer holds the samples/);
});

test("several possible logits: exit 3 with the candidates", async () => {
  const path = put(
    model({
      input: [value("x", ["n", 4])],
      output: [value("y", ["n", 3]), value("u", ["n", 3])],
      node: [node("MatMul", ["x", "w"], ["y"]), node("Softmax", ["y"], ["p"]), node("Sqrt", ["p"], ["u"])],
      initializer: [W],
    }),
  );
  const { code, document } = await json(path);
  expect(code).toBe(3);
  expect(document.refusal).toMatchObject({ code: "LOGITS_AMBIGUOUS" });
  expect(document.candidates.map(({ logits }: { logits: string }) => logits)).toEqual(["y", "u"]);
  expect((await json(path, "--logits", "y")).code).toBe(0);
});

test("logits that are not one score a class: inspect refuses what unlearn refuses", async () => {
  const { code, document } = await json(
    put(
      model({
        input: [value("x", ["n", 5, 4])],
        output: [value("y", ["n", 5, 3])],
        node: [node("MatMul", ["x", "w"], ["y"])],
        initializer: [W],
      }),
    ),
  );
  expect(code).toBe(3);
  expect(document).toMatchObject({
    trainable: false,
    refusal: {
      code: "LOGITS_NOT_CLASSES",
      message: expect.stringMatching(/"y" have shape \[\d+,5,3\].*--logits/),
    },
  });
});

test("what cannot be trained: exit 3, the reason and the document all the same", async () => {
  const labels = await json(
    put(
      model({
        input: [value("x", ["n", 4])],
        output: [value("y", ["n"], INT64)],
        node: [node("ArgMax", ["x"], ["y"], { axis: 1, keepdims: 0 })],
      }),
    ),
  );
  expect(labels.code).toBe(3);
  expect(labels.document).toMatchObject({
    trainable: false,
    inputs: [{ name: "x" }],
    outputs: [{ name: "y" }],
  });

  const custom = await json(
    put(
      model(
        {
          input: [value("x", ["n", 4])],
          output: [value("y", ["n", 3])],
          node: [node("MatMul", ["x", "w"], ["m"]), node("Magic", ["m"], ["y"], {}, "acme")],
          initializer: [W],
        },
        {
          opsetImport: [
            { domain: "", version: 17 },
            { domain: "acme", version: 1 },
          ],
        },
      ),
    ),
  );
  expect(custom.code).toBe(3);
  expect(custom.document.refusal).toMatchObject({ code: "RUNTIME_REFUSED" });
  expect(custom.document.operators).toContainEqual({
    domain: "acme",
    operator: "Magic",
    count: 1,
    mark: "refused",
    because: "not known here, and the logits depend on it",
  });
  const ort = await run(
    "inspect",
    put(Uint8Array.of(0x18, 0, 0, 0, ...new TextEncoder().encode("ORTMxxxx"))),
  );
  expect(ort).toMatchObject({
    code: 3,
    stdout: expect.stringMatching(/refused: .*\.ort format, whose weights cannot be edited/),
  });
});

test.each([
  ["no opset import", { opsetImport: [] }, node("MatMul", ["x", "w"], ["y"])],
  ["an IR version of the future", { irVersion: 14 }, node("MatMul", ["x", "w"], ["y"])],
  [
    "BatchNormalization with consumed_inputs",
    { opset: 7 },
    node("BatchNormalization", ["x", "s", "s", "v", "v"], ["y"], { consumed_inputs: [0, 0, 0, 1, 1] }),
  ],
])("what ONNX Runtime cannot load is refused with its reason: %s", async (_, more, only) => {
  const initializer = [W, ...["s", "v"].map((name) => floats(name, [4], [1, 2, 3, 4]))];
  const path = put(
    model(
      { input: [value("x", ["n", 4])], output: [value("y", undefined)], node: [only], initializer },
      more,
    ),
  );
  const { code, document } = await json(path);
  expect(code).toBe(3);
  expect(document.refusal).toMatchObject({
    code: "RUNTIME_REFUSED",
    message: expect.stringMatching(/ONNX Runtime cannot load .*(opset|ir_version|IR|consumed_inputs)/i),
  });
});
