import { expect, test } from "vitest";
import { overwritable } from "../../../converters/compile/in-place.ts";
import type { EmittedNode } from "../../../converters/compile/trace.ts";

const node = (opType: string, inputs: string[], output: string): EmittedNode => ({
  opType,
  domain: "",
  inputs,
  outputs: [output],
  shapes: [[2]],
  dtypes: ["float32"],
  attributes: {},
});

test("a velocity that only its own update reads may be overwritten", () => {
  const nodes = [node("Mul", ["v", "momentum"], "a"), node("Add", ["a", "g"], "next")];
  expect(overwritable(nodes)("v", "next")).toBe(true);
});

test("not where a reader need not come first, looks at the memory itself, or is the writer", () => {
  const update = [node("Mul", ["v", "momentum"], "a"), node("Add", ["a", "g"], "next")];
  expect(overwritable([...update, node("Mul", ["v", "v"], "elsewhere")])("v", "next")).toBe(false);
  const view = [node("Reshape", ["v", "shape"], "a"), node("Add", ["a", "g"], "next")];
  expect(overwritable(view)("v", "next")).toBe(false);
  expect(overwritable([node("Add", ["v", "g"], "next")])("v", "next")).toBe(false);
  expect(overwritable(update)("unread", "next")).toBe(false);
});
