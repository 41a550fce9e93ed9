import { readdirSync } from "node:fs";
import { describe, test } from "vitest";
import { checkOperator, type OperatorCase } from "./harness.ts";

// One file of cases per operator family; a new family is a new file.
const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".cases.ts"));

for (const file of files) {
  const { cases } = (await import(`./${file}`)) as { cases: readonly OperatorCase[] };
  describe(`${file.replace(".cases.ts", "")}: ONNX Runtime forward and central differences`, () => {
    test.each(cases.map((c) => [`${c.op}: ${c.name}`, c] as const))("%s", async (_, c) => checkOperator(c));
  });
}
