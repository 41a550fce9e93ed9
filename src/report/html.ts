import type { DiffDocument } from "../case/compare.ts";
import type { UnlearnDocument } from "../case/unlearn.ts";
import { glossary, type MetricName } from "../evaluate/glossary.ts";
import {
  escapeMarkup,
  format,
  formatChange,
  formatInterval,
  largest,
  NONE,
  STATUS,
  worstFirst,
} from "./format.ts";
import { plotsOf } from "./plots.ts";
import { groups, headline, type Row, verdictOf } from "./summary.ts";

/** Markup that is already escaped. */
type Html = string;
const text = escapeMarkup;

const STYLE = `
:root { color: #1b1b1b; background: #fff; font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
body { max-width: 72rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #bbb; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
.verdict { border: 3px solid #444; border-left-width: 14px; padding: .75rem 1rem; margin: 1rem 0; }
.verdict strong { font-size: 1.4rem; letter-spacing: .03em; } .verdict p { margin: .25rem 0; }
.verdict.passed { border-color: #1a6b2f; } .verdict.failed { border-color: #a31621; border-style: double; border-left-width: 14px; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top; }
th { border-bottom: 2px solid #555; } th:first-child, td:first-child, td.words, th.words { text-align: left; }
td.words { overflow-wrap: anywhere; } td.status { white-space: nowrap; }
.note { color: #555; font-size: .85em; }
.interval { color: #555; font-size: .85em; white-space: nowrap; } .reason { color: #555; font-style: italic; }
tr.failed td:first-child, tr.skipped td:first-child { font-weight: bold; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; min-width: 0; break-inside: avoid; } figure.wide { grid-column: 1 / -1; }
figure svg { width: 100%; height: auto; border: 1px solid #ddd; } figure.wide svg { max-width: 45rem; } figcaption { font-size: .88rem; color: #333; }
dl { display: grid; grid-template-columns: minmax(10rem, 16rem) 1fr; gap: .25rem 1rem; font-size: .9rem; } dt { font-weight: 600; } dd { margin: 0; }
@media (max-width: 40rem) { dl { grid-template-columns: minmax(0, 1fr); } body { padding: .75rem; } }
.scroll { overflow-x: auto; }
code { font-size: .85em; overflow-wrap: anywhere; }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(7rem, 1fr)); gap: .75rem; font-size: .82rem; }
.samples img { width: 100%; image-rendering: pixelated; border: 1px solid #bbb; }
footer { margin-top: 2rem; font-size: .85rem; color: #444; }
@media print { body { max-width: none; padding: 0; font-size: 11pt; } h2 { break-after: avoid; } tr, .verdict, .samples > div { break-inside: avoid; } a { color: inherit; } }
`;

const row = (cells: readonly Html[], name = ""): Html =>
  `<tr${name ? ` class="${name}"` : ""}>${cells.join("")}</tr>`;
const td = (inner: Html, name = ""): Html => `<td${name ? ` class="${name}"` : ""}>${inner}</td>`;
const th = (inner: Html, name = ""): Html => `<th scope="col"${name ? ` class="${name}"` : ""}>${inner}</th>`;
const tableOf = (head: readonly Html[], body: readonly Html[]): Html =>
  `<div class="scroll"><table><thead>${row(head)}</thead><tbody>${body.join("")}</tbody></table></div>`;

function figureTable(rows: readonly Row[], withReference: boolean): Html {
  const head = ["", "before", "after", "change", ...(withReference ? ["reference"] : [])].map((h) => th(h));
  return tableOf(
    head,
    rows.map(({ name, definition: { title, unit }, figure }) => {
      const cell = (shown: string, of?: "before" | "after" | "change") => {
        const interval = of && formatInterval(figure.interval?.[of], unit);
        return td(`${shown}${interval ? ` <span class="interval">${interval}</span>` : ""}`);
      };
      return row([
        td(
          `<a href="#${name}">${text(title)}</a>${figure.reason ? ` <span class="reason">${text(figure.reason)}</span>` : ""}`,
        ),
        cell(format(figure.before, unit), "before"),
        cell(format(figure.after, unit), "after"),
        cell(formatChange(figure.before, figure.after, unit), "change"),
        ...(withReference ? [cell(format(figure.reference, unit))] : []),
      ]);
    }),
  );
}

function gatesSection({ gates }: DiffDocument): Html {
  if (!gates) return "";
  return `<h2>Gates</h2>${tableOf(
    [th("check"), th("status", "words"), th("limit", "words"), th("found", "words")],
    worstFirst(gates.checks).map(({ name, status, limit, sentence }) =>
      row(
        [
          td(`<code>${text(name)}</code>`),
          td(STATUS[status], "words status"),
          td(text(limit), "words"),
          td(text(sentence), "words"),
        ],
        status,
      ),
    ),
  )}`;
}

/**
 * Longer tables show the rows with the largest changes, to keep the page small; the JSON report has all rows.
 */
const MOST_ROWS = 300;
const cut = (list: readonly unknown[]): string =>
  list.length <= MOST_ROWS ? "" : `, the ${MOST_ROWS} that moved most`;

function classSection({ perClass }: DiffDocument): Html {
  return Object.entries(perClass)
    .map(([set, classes]) => {
      const shown = largest(classes, MOST_ROWS, ({ before, after }) => Math.abs(after - before));
      const body = shown.map(({ label, count, before, after }) =>
        row([
          td(`class ${label}`),
          td(String(count)),
          td(format(before, "share")),
          td(format(after, "share")),
          td(formatChange(before, after, "share")),
        ]),
      );
      const head = [th("class"), th("samples"), th("before"), th("after"), th("change")];
      return `<details${classes.length <= 20 ? " open" : ""}><summary>Accuracy per class, ${set} set (${classes.length} classes${cut(classes)})</summary>${tableOf(head, body)}</details>`;
    })
    .join("");
}

function tensorSection({ weights, structure }: DiffDocument): Html {
  const shown = largest(weights.tensors, MOST_ROWS, ({ changeNorm, norm }) =>
    changeNorm === null ? Number.POSITIVE_INFINITY : changeNorm / (norm || 1),
  );
  const body = shown.map(({ name, elements, changedElements, norm, changeNorm, nonFinite }) =>
    row([
      td(`<code>${text(name)}</code>`),
      td(`${changedElements} of ${elements}`),
      td(format(norm, "number")),
      td(changeNorm === null ? `${nonFinite} values are no numbers` : format(changeNorm, "number")),
      td(changeNorm === null || norm === 0 ? NONE : format(changeNorm / norm, "share")),
    ]),
  );
  const head = [th("tensor"), th("changed elements"), th("‖before‖"), th("‖after − before‖"), th("ratio")];
  const rest = structure.identical
    ? "<p>Inputs, outputs, nodes, opset, metadata and all other bytes are the same.</p>"
    : `<p><strong>The files differ in more than weights:</strong></p><ul>${structure.differences.map((d) => `<li>${text(d)}</li>`).join("")}</ul>`;
  return `${rest}<details${weights.tensors.length <= 40 ? " open" : ""}><summary>Changed tensors (${weights.tensors.length}${cut(weights.tensors)})</summary>${tableOf(head, body)}</details>`;
}

function samplesSection({ shown }: DiffDocument): Html {
  if (!shown) return "";
  const titles = {
    forget: "Forget samples that are classified as before",
    retain: "Retained samples that are newly wrong",
    test: "Test samples that are newly wrong",
  };
  const of = (set: keyof typeof titles): Html => {
    const samples = shown.filter((sample) => sample.set === set);
    if (samples.length === 0) return "";
    const cards = samples.map(
      ({ index, label, before, after, thumbnail }) =>
        `<div>${thumbnail ? `<img alt="sample ${index}" src="${text(thumbnail)}">` : ""}sample ${index}<br>label ${label}: ${before} → ${after}</div>`,
    );
    return `<h3>${titles[set]} (the first ${samples.length})</h3><div class="samples">${cards.join("")}</div>`;
  };
  return `<h2>Samples</h2><p>Shown on request; whoever has this file can see them.</p>${of("forget")}${of("retain")}${of("test")}`;
}

function settingsSection(document: DiffDocument, run: UnlearnDocument | undefined): Html {
  const pairs: [string, string][] = [
    ["BEFORE, SHA-256", document.model.before.sha256],
    ["AFTER, SHA-256", document.model.after.sha256],
    ...(document.reference
      ? [["REFERENCE, SHA-256", document.reference.model.sha256] as [string, string]]
      : []),
    ...Object.entries(document.samples).map(([set, n]): [string, string] => [
      `samples, ${set}`,
      n === null ? NONE : String(n),
    ]),
    ["seed", String(document.seed)],
    ...(run
      ? Object.entries({
          ...run.options,
          steps: run.budget.steps,
          seconds: Number(run.timing.seconds.toFixed(1)),
        }).map(([key, value]): [string, string] => [
          `unlearning, ${key}`,
          typeof value === "object" ? JSON.stringify(value) : String(value),
        ])
      : []),
    ...Object.entries(document.versions),
  ];
  return `<h2>Files, settings, versions</h2><dl>${pairs.map(([key, value]) => `<dt>${text(key)}</dt><dd><code>${text(value)}</code></dd>`).join("")}</dl>`;
}

/**
 * The report as one HTML file without scripts or network access, for screen and print. All its figures are
 * those of the JSON document.
 * @param run the unlearning run that made AFTER, for its settings and the plots over its steps
 */
export function htmlReport(document: DiffDocument, run?: UnlearnDocument): Html {
  const verdict = verdictOf(document);
  const withReference = document.reference !== null;
  const word = { passed: "✓ GATES PASSED", failed: "✗ GATES FAILED", none: "COMPARISON" }[verdict.status];
  const plots = plotsOf(document, run?.ledger ?? []);
  const also = Object.entries(document.also)
    .map(([name, figures]) => {
      const rows = Object.entries(figures).map(([metric, figure]) => {
        const key = `test${metric[0]!.toUpperCase()}${metric.slice(1)}` as MetricName;
        const definition = glossary[key];
        return {
          name: key,
          definition: { ...definition, title: definition.title.replace(/^test /, "") },
          figure,
        };
      });
      return `<h3>${text(name)}</h3>${figureTable(rows, withReference)}`;
    })
    .join("");
  const measured = groups(document);
  const terms = measured.flatMap(({ rows }) => rows);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>onnx-unlearn: ${word.toLowerCase()}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>Unlearning report</h1>
<div class="verdict ${verdict.status}"><strong>${word}</strong><p>${text(verdict.sentence)}</p><p>${text(document.leak.after.sentence)}</p></div>
</header>
<main>
<h2>At a glance</h2>
${figureTable(headline(document), withReference)}
<p class="note">Brackets are 95 % confidence intervals; shares in percent, changes in percentage points.</p>
${gatesSection(document)}
<h2>Plots</h2>
<div class="plots">
${plots.map(({ title, caption, svg }) => `<figure${svg.includes('width="720"') ? ' class="wide"' : ""}><h3>${text(title)}</h3>${svg.replace("<svg ", `<svg role="img" aria-label="${text(title)}" `)}<figcaption>${text(caption)}</figcaption></figure>`).join("\n")}
</div>
<h2>All figures</h2>
${measured.map(({ title, rows }) => `<h3>${text(title)}</h3>${figureTable(rows, withReference)}`).join("\n")}
${also ? `<h2>Further sets</h2>${also}` : ""}
<h2>Per class</h2>
${classSection(document)}
<h2>The file</h2>
${tensorSection(document)}
${samplesSection(document)}
${settingsSection(document, run)}
<h2>Glossary</h2>
<dl>${terms.map(({ name, definition }) => `<dt id="${name}">${text(definition.title)} <code>${name}</code></dt><dd>${text(definition.meaning)}</dd>`).join("")}</dl>
</main>
<footer>Made by onnx-unlearn ${text(document.versions.onnxUnlearn)}. This page is a view; the JSON report is the record.</footer>
</body>
</html>
`;
}
