import { expect, test } from "vitest";
import { readGates } from "../../../src/gates/read.ts";

test("gates as a value get the defaults of a gates file", () => {
  expect(readGates({ metrics: { testAccuracy: { maxDrop: "1pp" } } })).toEqual({
    gates: { metrics: { testAccuracy: { maxDrop: "1pp", level: "fail" } }, allowSkipped: false },
    golden: undefined,
  });
});

test("gates as a value are held to the schema", () => {
  expect(() => readGates({ metrics: { testAccuracy: { maxDrop: "soon" } } })).toThrow(
    /^the value of the gates is wrong at "metrics\.testAccuracy\.maxDrop"/,
  );
});
