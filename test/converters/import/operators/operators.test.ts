import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { operatorsPage } from "../../../../bench/docs/page.ts";
import { DOMAINS, operatorCatalogue } from "../../../../converters/import/catalogue.ts";
import { isFloatType } from "../../../../converters/import/value.ts";
import { checkOperator, type OperatorCase } from "./harness.ts";

// One file of cases per operator family; a new family is a new file.
const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".cases.ts"));
const all: OperatorCase[] = [];

for (const file of files) {
  const { cases } = (await import(`./${file}`)) as { cases: readonly OperatorCase[] };
  all.push(...cases);
  describe(`${file.replace(".cases.ts", "")}: ONNX Runtime forward and central differences`, () => {
    test.each(cases.map((c) => [`${c.op}: ${c.name}`, c] as const))("%s", async (_, c) => checkOperator(c));
  });
}

/**
 * Whether the harness compares a gradient of this case with central differences, and demands that it is not
 * zero.
 */
const differentiated = ({ inputs, differentiate }: OperatorCase) =>
  differentiate
    ? differentiate.length > 0
    : inputs.some((input) => input && !input.constant && isFloatType(input.dtype ?? "float32"));

/**
 * Sequences, optional values and subgraphs do not fit into a case of one node; tests with small graphs cover
 * them.
 */
const ELSEWHERE = /^(Sequence|Optional|SplitToSequence$|ConcatFromSequence$|If$|Loop$|Scan$)/;

describe.each(DOMAINS)("every operator of domain %j has its cases", (domain) => {
  test.each(
    operatorCatalogue().filter((entry) => entry.domain === domain && !ELSEWHERE.test(entry.operator)),
  )("$operator, each variant, with a gradient where there is one", ({ operator, since, gradient }) => {
    const own = all.filter((c) => c.op === operator && (c.domain ?? "") === domain);
    since.forEach((from, i) => {
      const until = since[i + 1] ?? Number.POSITIVE_INFINITY;
      const found = own.some(({ opset = 17 }) => opset >= from && opset < until);
      expect(found, `${operator} since opset ${from}`).toBe(true);
    });
    expect(own.some(differentiated), `${operator}: gradient`).toBe(gradient === "checked");
  });
});

test("at least 90 distinct ai.onnx operators have a non-zero gradient held to an independent oracle", () => {
  const operators = new Set(all.filter((c) => !c.domain && differentiated(c)).map(({ op }) => op));
  // ONNX Runtime's own, in ONNX's domain.
  operators.delete("SimplifiedLayerNormalization");
  expect(operators.size).toBeGreaterThanOrEqual(90);
});

test("docs/operators.md is what `npm run docs` writes", () => {
  const path = join(import.meta.dirname, "../../../../docs/operators.md");
  expect(readFileSync(path, "utf8")).toBe(operatorsPage());
});
