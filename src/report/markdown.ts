import type { DiffDocument } from "../case/compare.ts";
import { format, formatChange, formatInterval, NONE } from "./format.ts";
import { groups, headline, type Row, verdictOf } from "./summary.ts";

/** Escapes text for a table cell, so that it cannot end the cell or start a tag. */
const cell = (text: string): string =>
  text
    .replaceAll("\\", "\\\\")
    .replaceAll("|", "\\|")
    .replaceAll("<", "&lt;")
    .replaceAll("`", "\\`")
    .replace(/[\r\n]+/g, " ");

const table = (
  head: readonly string[],
  body: readonly (readonly string[])[],
  align: "words" | "numbers" = "numbers",
): string =>
  [head, head.map((_, i) => (i === 0 || align === "words" ? "---" : "---:")), ...body]
    .map((row) => `| ${row.join(" | ")} |`)
    .join("\n");

function figures(list: readonly Row[], withReference: boolean): string {
  const value = (v: number | null | undefined, row: Row, side?: "before" | "after") => {
    const interval = side && formatInterval(row.figure.interval?.[side], row.definition.unit);
    return `${format(v, row.definition.unit)}${interval ? ` ${interval}` : ""}`;
  };
  return table(
    ["", "before", "after", "change", ...(withReference ? ["reference"] : [])],
    list.map((row) => [
      cell(row.definition.title),
      value(row.figure.before, row, "before"),
      value(row.figure.after, row, "after"),
      formatChange(row.figure.before, row.figure.after, row.definition.unit),
      ...(withReference ? [value(row.figure.reference, row)] : []),
    ]),
  );
}

const MARK = { passed: "✅", failed: "❌", none: "ℹ️" } as const;
const CHECK = { passed: "✅ passed", failed: "❌ failed", warned: "⚠️ warned", skipped: "⏭️ skipped" } as const;

/**
 * The comparison for a pull request or a CI summary: verdict, failing checks, headline figures, the rest
 * folded.
 */
export function markdownReport(document: DiffDocument): string {
  const verdict = verdictOf(document);
  const withReference = document.reference !== null;
  const checks = document.gates?.checks ?? [];
  const open = checks.filter(({ status }) => status !== "passed");
  const gateTable = (list: typeof checks) =>
    table(
      ["check", "status", "limit", "found"],
      list.map(({ name, status, limit, sentence }) => [
        cell(name),
        CHECK[status],
        cell(limit),
        cell(sentence),
      ]),
    );
  const folded = (title: string, text: string) =>
    `<details><summary>${title}</summary>\n\n${text}\n\n</details>`;
  const { before, after } = document.model;
  return `${[
    `## ${MARK[verdict.status]} onnx-unlearn: ${verdict.status === "none" ? "comparison" : `gates ${verdict.status}`}`,
    verdict.sentence,
    cell(document.leak.after.sentence),
    ...(open.length > 0 ? [gateTable(open)] : []),
    figures(headline(document), withReference),
    ...groups(document).map(({ title, rows }) => folded(title, figures(rows, withReference))),
    ...(checks.length > open.length
      ? [folded("Checks that hold", gateTable(checks.filter(({ status }) => status === "passed")))]
      : []),
    `BEFORE \`${before.sha256}\` (${before.bytes} bytes) · AFTER \`${after.sha256}\` (${after.bytes} bytes) · ${document.samples.forget} samples to forget, ${document.samples.retain} retained, ${document.samples.test ?? NONE} test · seed ${document.seed} · onnx-unlearn ${document.versions.onnxUnlearn}. Brackets are 95 % confidence intervals.`,
  ].join("\n\n")}\n`;
}
