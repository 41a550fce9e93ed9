// The programs of examples/ are run as they stand (on the source instead of dist/) and must tell what their
// page shows.
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";

const folder = resolve(import.meta.dirname, "../../examples");
const page = readFileSync(join(folder, "README.md"), "utf8");
const programs = readdirSync(folder).filter((name) => name.endsWith(".mjs"));

afterEach(() => vi.restoreAllMocks());

/** What a program prints. */
async function outputOf(name: string): Promise<string> {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  await import(join(folder, name));
  return log.mock.calls.map((words) => `${words.join(" ")}\n`).join("");
}

/** The percentages of the line that begins so. */
const percentages = (output: string, start: string): number[] => {
  const line = output.split("\n").find((text) => text.startsWith(start)) ?? "";
  return [...line.matchAll(/([0-9.]+) %/g)].map(([, number]) => Number(number));
};

/** Everything but the numbers: their last digits are the processor's. */
const words = (text: string): string => text.replaceAll(/[0-9.]*[0-9]/g, "#").trim();

/** The model knows its labels by heart and does badly on unseen digits: both must turn round. */
function expectForgotten(output: string): void {
  const [known, forgotten] = percentages(output, "accuracy on what it forgot");
  expect(known).toBe(100);
  expect(forgotten).toBeLessThan(10);
  const [before, after] = percentages(output, "accuracy on unseen digits");
  expect(after).toBeGreaterThan(before!);
}

const checks: Readonly<Record<string, (output: string) => void>> = {
  "in-memory.mjs": (output) => {
    expect(output).toMatch(/the new model has (\d+) bytes, the old one \1/);
    expectForgotten(output);
  },
  "own-objective.mjs": expectForgotten,
  "sweep-loop.mjs": (output) => {
    const runs = output.split("\n").filter((line) => /: forget .*seed0|seed0: forget/.test(line));
    expect(runs).toHaveLength(4);
    const [, known] = percentages(output, "before");
    for (const run of runs) {
      const [forget, validation] = percentages(run, run);
      expect(forget).toBeLessThan(100);
      // Budgets of 0.2 and 1 points of validation accuracy.
      expect(validation).toBeGreaterThanOrEqual(known! - 1);
    }
  },
  "release-step.mjs": (output) => {
    expect(output.match(/^passed: /gm)).toHaveLength(5);
    expect(output).toContain("the new file is in place");
  },
};

test("every program is checked", () => {
  expect(programs.sort()).toEqual(Object.keys(checks).sort());
});

describe.each(programs)("%s", (name) => {
  test("says what it shows", () => {
    expect(readFileSync(join(folder, name), "utf8")).toMatch(/^\/\/ .{40}/);
  });

  test("uses nothing but the package root", () => {
    for (const [, from] of readFileSync(join(folder, name), "utf8").matchAll(/ from "([^"]+)"/g))
      expect(from).toMatch(/^(node:.*|onnx-unlearn)$/);
  });

  test("does what it says, and what its page shows", async () => {
    const output = await outputOf(name);
    checks[name]!(output);
    const [, shown] =
      new RegExp(`<!-- output: node examples/${name} -->\n\`\`\`text\n([\\s\\S]*?)\`\`\``).exec(page) ?? [];
    expect(words(output)).toBe(words(shown ?? ""));
  });
});
