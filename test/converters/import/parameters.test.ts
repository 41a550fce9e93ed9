import { expect, test } from "vitest";
import { selectParameters } from "../../../converters/import/parameters.ts";
import type { OnnxNode, OnnxTensor } from "../../../converters/onnx/model.ts";

const node = (opType: string, inputs: string[], outputs: string[]): OnnxNode => ({
  name: opType,
  opType,
  domain: "",
  inputs,
  outputs,
  attributes: {},
});
const vector = (name: string, ...data: number[]): OnnxTensor => ({
  name,
  dtype: "float32",
  dims: [data.length],
  data: Float32Array.from(data),
});

test("constants of shape arithmetic are frozen, a table looked up by positions is trained", () => {
  const table = vector("table", ...new Array<number>(32).fill(0.5));
  const nodes = [
    node("Shape", ["ids"], ["shape"]),
    node("Cast", ["shape"], ["lengths"]),
    node("Min", ["lengths", "limits"], ["ends"]),
    node("Slice", ["places", "starts", "ends"], ["positions"]),
    node("Gather", ["table", "positions"], ["embedded"]),
    node("Add", ["embedded", "shift"], ["y"]),
  ];
  const initializers = new Map(
    [table, vector("limits", 1, 512), vector("shift", 0.1, 0.2)].map((t) => [t.name, t]),
  );
  const parameters = selectParameters(nodes, initializers, new Set(["ids"]), {});
  const why = Object.fromEntries(parameters.map((p) => [p.name, p.frozenBecause]));
  expect(why).toEqual({ table: undefined, limits: "arithmetic on shapes", shift: undefined });
});
