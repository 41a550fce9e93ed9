import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { registeredOperators } from "../../../../converters/import/registry.ts";
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

/** Integer, boolean, shape or piecewise constant: there is no gradient to check. */
const WITHOUT_GRADIENT = new Set(
  (
    "Floor Ceil Round Sign ArgMax ArgMin Shape Size Constant ConstantOfShape Range OneHot Equal Greater " +
    "GreaterOrEqual Less LessOrEqual And Or Xor Not IsNaN IsInf BitwiseAnd BitwiseOr BitwiseXor BitwiseNot " +
    "BitShift Hardmax EyeLike NonZero Unique QuantizeLinear DynamicQuantizeLinear"
  ).split(" "),
);

describe.each(["", "com.microsoft"])("every operator of domain %j has its cases", (domain) => {
  test.each([...registeredOperators(domain)])(
    "%s, each variant, with a gradient where there is one",
    (op, since) => {
      const own = all.filter((c) => c.op === op && (c.domain ?? "") === domain);
      since.forEach((from, i) => {
        const until = since[i + 1] ?? Number.POSITIVE_INFINITY;
        const tried = own.some(({ opset = 17 }) => opset >= from && opset < until);
        expect(tried, `${op} since opset ${from}`).toBe(true);
      });
      const differentiated = own.some(({ inputs, differentiate }) =>
        differentiate
          ? differentiate.length > 0
          : inputs.some((input) => input && !input.constant && isFloatType(input.dtype ?? "float32")),
      );
      expect(differentiated, `${op}: gradient`).toBe(!WITHOUT_GRADIENT.has(op));
    },
  );
});
