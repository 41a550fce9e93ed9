import type { Row } from "./main.ts";

const small = (value: number | undefined) => (value === undefined ? "" : value.toPrecision(3));
const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("\n", " ");

export function summary(rows: readonly Row[]): string {
  const count = (verdict: Row["verdict"]) => rows.filter((row) => row.verdict === verdict).length;
  return `${rows.length} files: ${count("trainable")} trainable, ${count("refused")} refused, ${count("failed")} failed`;
}

export function markdown(rows: readonly Row[]): string {
  const of = (verdict: Row["verdict"]) => rows.filter((row) => row.verdict === verdict);
  const lines = [
    "# Model files that other people shipped",
    "",
    `${summary(rows)}. Made by \`npm run zoo -- FOLDER\`.`,
    "",
    "Trainable: imports; its logits equal ONNX Runtime's on synthetic inputs (a fixed batch is run sample by sample there and at once here);",
    "one compiled gradient step changes weights and lowers the loss; exports; the written file verifies and gives the trained graph's outputs.",
    "Deviations are largest |a − b| over max(1, largest |b|).",
    "The loss follows one rule, decided by the output alone: scores of classes that differ, cross-entropy towards the class now least likely; any other output,",
    "squared distance to half of itself; an output that is one number everywhere (models filled with constants), and those of quantised models, squared distance to itself plus its size (at least 1).",
    "The step is Polyak's along the gradient, halved up to 19 times until the loss falls.",
    "",
    "| file | logits | batch | deviation | same top-1 | loss before → after | tensors changed | deviation of the written file |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ...of("trainable").map(
      (r) =>
        `| ${cell(r.file)} | ${cell(r.logits ?? "")} | ${r.batch} | ${r.parity?.toExponential(1)} | ${r.agreement === undefined ? "" : `${(100 * r.agreement).toFixed(1)} %`} | ${small(r.lossBefore)} → ${small(r.lossAfter)} | ${r.changedTensors} | ${r.writtenParity?.toExponential(1)} |`,
    ),
    "",
    "## Refused (exit 3)",
    "",
    "| file | code | reason |",
    "| --- | --- | --- |",
    ...of("refused").map((r) => `| ${cell(r.file)} | ${r.code} | ${cell(r.reason ?? "")} |`),
  ];
  if (of("failed").length > 0)
    lines.push(
      "",
      "## Failed: neither trainable nor refused, a defect of this program",
      "",
      "| file | what went wrong |",
      "| --- | --- |",
      ...of("failed").map((r) => `| ${cell(r.file)} | ${cell(r.reason ?? "")} |`),
    );
  return `${lines.join("\n")}\n`;
}
