import { expect, test } from "vitest";
import { isWithinLimit, parseLimit } from "../../../src/unlearn/limits.ts";

test.each([
  // May fall by a point: any rise is fine.
  ["-1pp", 0.9, 0.89, true],
  ["-1pp", 0.9, 0.889, false],
  ["-1pp", 0.9, 1, true],
  // May rise by two points: any fall is fine.
  ["+2pp", 0.1, 0.12, true],
  ["+2pp", 0.1, 0.121, false],
  ["+2pp", 0.1, 0, true],
  // Not at all.
  ["+0pp", 0.1, 0.1, true],
  ["+0pp", 0.1, 0.101, false],
] as const)("%s: from %f to %f: %s", (text, before, after, within) => {
  expect(isWithinLimit(parseLimit("a", text), before, after)).toBe(within);
});

test("a limit has a sign and points", () => {
  for (const text of ["1pp", "-1", "-1nats", "+-1pp", ""])
    expect(() => parseLimit("group", text), text).toThrow(
      expect.objectContaining({ code: "LIMIT_FORM", message: expect.stringContaining("group") }),
    );
});
