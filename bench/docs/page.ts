import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DOMAINS, operatorCatalogue } from "../../converters/import/catalogue.ts";
import { packageRoot } from "../../src/package.ts";

/** The catalogue of operators as a page: `docs/operators.md`. */
export function operatorsPage(): string {
  const versions = JSON.parse(
    readFileSync(join(packageRoot(), "bench/docs/versions.json"), "utf8"),
  ) as Record<string, readonly number[]>;
  const entries = operatorCatalogue();
  const sections = DOMAINS.map((domain) => {
    const own = entries.filter((entry) => entry.domain === domain);
    const checked = own.filter(({ gradient }) => gradient === "checked").length;
    const rows = own.map(({ operator, since, gradient, note }) => {
      const opsets = domain === "" ? (versions[operator] ?? ["–"]) : [1];
      const later = since.filter((opset) => opset > 1);
      return `| ${operator} | ${opsets.join(", ")} | ${later.join(", ")} | ✓ | ${
        gradient === "checked" ? "✓" : "zero by nature"
      } | ${note} |`;
    });
    return [
      `## ${domain || "ai.onnx"}: ${own.length} operators, ${checked} of them with a gradient`,
      "",
      "| operator | opsets in ONNX | implementations of their own from | forward | gradient | notes |",
      "| --- | --- | --- | --- | --- | --- |",
      ...rows,
    ].join("\n");
  });
  return `# Operators

Written by \`npm run docs\`; do not edit.

*Opsets in ONNX*: the versions that ONNX gave the operator; all are imported, as far as ONNX Runtime runs them.
*Implementations of their own from*: where versions differ in more than attributes and types, the newest implementation that
is not newer than the file's opset is taken.
*Forward* ✓: the output equals ONNX Runtime's on tfjs's \`cpu\` backend and compiled.
*Gradient* ✓: the vector–Jacobian product equals central differences through ONNX Runtime on both, and is not zero.
*Zero by nature*: integer, boolean, shape or piecewise constant; it does not stop the gradient of the rest.
What is not listed is refused by name where a trained weight or the logits depend on it.

${sections.join("\n\n")}
`;
}
