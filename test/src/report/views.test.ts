import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inflateSync } from "node:zlib";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DiffDocument } from "../../../src/case/compare.ts";
import type { UnlearnDocument } from "../../../src/case/unlearn.ts";
import { encodePng } from "../../../src/data/png.ts";
import { glossary, type MetricName } from "../../../src/evaluate/glossary.ts";
import type { GateReport } from "../../../src/gates/judge.ts";
import { format } from "../../../src/report/format.ts";
import { htmlReport } from "../../../src/report/html.ts";
import { junitReport } from "../../../src/report/junit.ts";
import { markdownReport } from "../../../src/report/markdown.ts";
import { FORGET, MODEL, RETAIN, RETRAINED, run, SCALING, TEST, temporary } from "../cli/cli.ts";

const folder = temporary();
const file = (name: string) => join(folder, name);
const GATES = `metrics:
  testAccuracy: { maxDrop: 1pp }
  miaAuc: { min: 0.45, max: 0.55, level: warn }
  liraAuc: { max: 0.6 }
perClass: { test: { maxDrop: 20pp } }
structure: { identical: true }
`;

let document: DiffDocument;
let unlearned: UnlearnDocument;
let html: string;

beforeAll(async () => {
  writeFileSync(file("gates.yaml"), GATES);
  const sets = ["--forget", FORGET, "--retain", RETAIN, "--test", TEST, ...SCALING, "--threads", "1"];
  const trained = await run(
    ...["unlearn", "--model", MODEL, "--out", file("after.onnx"), ...sets],
    ...["--epochs", "2", "--lr", "0.003", "--batch-size", "64", "--json"],
  );
  unlearned = JSON.parse(trained.stdout);
  const compared = await run(
    ...["diff", MODEL, file("after.onnx"), ...sets, "--reference", RETRAINED, "--also", `holdout=${TEST}`],
    ...[
      "--gates",
      file("gates.yaml"),
      "--markdown",
      file("r.md"),
      "--junit",
      file("r.xml"),
      "--html",
      file("cli.html"),
    ],
    ...["--show-samples", "--json"],
  );
  // LiRA needs shadow models: that check is skipped, which fails.
  expect(compared.code).toBe(1);
  expect(compared.stderr).toBe("");
  document = JSON.parse(compared.stdout);
  html = htmlReport(document, unlearned);
  writeFileSync(file("r.html"), html);
});

/** Every number of a figure as the views write it. */
const shown = (name: MetricName): string[] => {
  const figure = document.figures[name]!;
  return [figure.before, figure.after, figure.reference]
    .filter((value) => typeof value === "number")
    .map((value) => format(value, glossary[name].unit));
};

test("every figure of the JSON stands in the HTML and the Markdown, with its definition in the HTML", () => {
  const markdown = readFileSync(file("r.md"), "utf8");
  for (const name of Object.keys(document.figures) as MetricName[]) {
    expect(html.includes(`id="${name}"`)).toBe(true);
    const lines = markdown.split("\n").filter((line) => line.startsWith(`| ${glossary[name].title} |`));
    for (const text of shown(name)) {
      expect(html.includes(text), name).toBe(true);
      expect(
        lines.some((line) => line.includes(text)),
        `${name}: ${text}`,
      ).toBe(true);
    }
  }
  for (const { name, sentence } of document.gates!.checks) {
    expect(html.includes(name)).toBe(true);
    expect(markdown).toContain(name);
    expect(html.includes(sentence.replaceAll("'", "&#39;").replaceAll(">", "&gt;"))).toBe(true);
  }
  expect(markdown).toContain("gates failed");
  expect(html.includes("GATES FAILED")).toBe(true);
  expect(html.indexOf("GATES FAILED")).toBeLessThan(html.indexOf("<table>"));
  expect(html.includes(document.leak.after.sentence)).toBe(true);
});

test("the HTML is one small file without scripts or network; samples only on request", () => {
  expect(statSync(file("cli.html")).size).toBeLessThan(3e6);
  // match, not toMatch: a failure shall not print the page. References within the page (#) and namespaces
  // fetch nothing.
  expect(html.match(/<script|<link|@import|url\((?!#)|src="(?!data:)/)).toBeNull();
  expect(html.replace(/xmlns(:\w+)?="[^"]*"/g, "").match(/https?:\/\//)).toBeNull();
  expect(htmlReport(document, unlearned) === html, "the same document gives the same bytes").toBe(true);
  expect(html.includes("<h2>Samples</h2>")).toBe(true);
  expect(html.includes("data:image/png;base64,")).toBe(true);
  const without = htmlReport({ ...document, shown: null });
  expect(without.includes("<h2>Samples</h2>")).toBe(false);
  expect(without.includes("data:image/png")).toBe(false);
});

test("thousands of classes and tensors: the rows that moved most, and still a small page", () => {
  const classes = Array.from({ length: 20_000 }, (_, label) => ({
    label,
    count: 1,
    before: 1,
    after: label === 777 ? 0 : 1,
  }));
  const [first] = document.weights.tensors;
  const tensors = Array.from({ length: 2000 }, (_, i) => ({ ...first!, name: `tensor ${i}`, changeNorm: i }));
  const page = htmlReport({
    ...document,
    perClass: { forget: classes, retain: classes, test: classes },
    weights: { ...document.weights, tensors },
  });
  expect(page.length).toBeLessThan(3e6);
  for (const text of [
    "20000 classes, the 300 that moved most",
    "class 777<",
    "2000, the 300 that moved most",
    "tensor 1999<",
  ])
    expect(page.includes(text), text).toBe(true);
  expect(page.includes("tensor 3<")).toBe(false);
});

test("names from files cannot become markup", () => {
  const name = `<img src=x onerror="alert(1)">|&'`;
  const tampered: DiffDocument = {
    ...document,
    weights: { ...document.weights, tensors: [{ ...document.weights.tensors[0]!, name }] },
    structure: { ...document.structure, identical: false, differences: [name] },
    also: { [name]: document.also.holdout! },
    gates: {
      verdict: "failed",
      checks: [{ ...document.gates!.checks[0]!, status: "failed", sentence: name }],
    },
  };
  expect(htmlReport(tampered).includes("<img src=x")).toBe(false);
  const markdown = markdownReport(tampered);
  expect(markdown).not.toContain("<img");
  expect(markdown).toContain("\\|");
  expect(junitReport(tampered.gates!, { time: new Date(0), host: "h" })).not.toContain("<img");
});

test("JUnit: the elements, attributes and counts its schema asks for", () => {
  const xml = readFileSync(file("r.xml"), "utf8");
  const { checks } = document.gates!;
  const tag = /<testsuite ([^>]*)>/.exec(xml)![1]!;
  const attribute = (name: string) => new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1];
  expect(attribute("timestamp")).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
  for (const name of ["name", "package", "id", "hostname", "time", "errors"])
    expect(attribute(name), name).toBeTruthy();
  expect(attribute("tests")).toBe(String(checks.length));
  expect(xml.match(/<testcase /g)).toHaveLength(checks.length);
  expect(attribute("failures")).toBe(String(xml.match(/<failure /g)!.length));
  // The order of children that the schema fixes.
  const order = ["<properties/>", "<testcase ", "<system-out>", "<system-err/>"].map((part) =>
    xml.indexOf(part),
  );
  expect(order).toEqual([...order].sort((a, b) => a - b));
  expect(order[0]).toBeGreaterThan(0);
  for (const found of xml.matchAll(/<testcase ([^>]*)>/g))
    for (const name of ["name", "classname", "time"]) expect(found[1]).toContain(`${name}="`);
});

test("JUnit: a check skipped with leave is skipped, one without fails", () => {
  const check = { name: "a.b", value: null, limit: "≤ 1", sentence: "no", status: "skipped" } as const;
  const report = (level: "warn" | "fail"): GateReport => ({
    verdict: "passed",
    checks: [{ ...check, level }],
  });
  const at = { time: new Date(0), host: "h" };
  expect(junitReport(report("warn"), at)).toContain("<skipped/></testcase>");
  expect(junitReport(report("warn"), at)).toContain('failures="0"');
  expect(junitReport(report("fail"), at)).toContain('failures="1"');
});

test("--junit without --gates is refused; the summary of a GitHub job is found by itself", async () => {
  const refused = await run(
    "diff",
    MODEL,
    MODEL,
    "--forget",
    FORGET,
    "--retain",
    RETAIN,
    "--junit",
    file("x.xml"),
  );
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain("--gates");
  const { writeViews } = await import("../../../src/report/views.ts");
  writeFileSync(file("summary.md"), "before\n");
  await writeViews({}, document, undefined, { GITHUB_STEP_SUMMARY: file("summary.md") });
  expect(readFileSync(file("summary.md"), "utf8")).toBe(`before\n${markdownReport(document)}`);
});

test.each([
  ["no folder", ["--html", "absent/r.html"], "create it first"],
  ["a folder", ["--markdown", folder], "is a folder"],
  ["a data file", ["--html", TEST], "would replace"],
  [
    "another view",
    ["--html", "same.out", "--markdown", "same.out"],
    "--markdown and --html are the same file",
  ],
])("a view that cannot be written is refused before the work: %s", async (_, argv, sentence) => {
  const data = ["--forget", FORGET, "--retain", RETAIN, "--test", TEST];
  for (const command of [
    ["diff", MODEL, MODEL],
    ["unlearn", "--model", MODEL, "--out", file("never.onnx")],
  ]) {
    const { code, stderr } = await run(...command, ...data, ...argv);
    expect(code, stderr).toBe(2);
    expect(stderr).toContain(sentence);
  }
  expect(existsSync(file("never.onnx"))).toBe(false);
});

test("unlearn with gates and a report: one verdict, the gates in the JSON", async () => {
  writeFileSync(file("strict.yaml"), "metrics: { testAccuracy: { min: 1 } }");
  const argv = [
    ...["unlearn", "--model", MODEL, "--out", file("gated.onnx"), "--forget", FORGET, "--retain", RETAIN],
    ...["--test", TEST, ...SCALING, "--threads", "1", "--epochs", "1", "--batch-size", "64"],
    ...["--gates", file("strict.yaml"), "--html", file("gated.html"), "--json"],
  ];
  const { code, stdout } = await run(...argv);
  expect(code).toBe(1);
  const printed = JSON.parse(stdout) as UnlearnDocument;
  expect(printed.gates!.checks.map(({ name, status }) => [name, status])).toContainEqual([
    "metrics.testAccuracy.min",
    "failed",
  ]);
  expect(readFileSync(file("gated.html"), "utf8")).toContain("Losses and λ over the steps");
  writeFileSync(file("strict.yaml"), "metrics: { testAcuracy: { min: 1 } }");
  const refused = await run(...argv.map((word) => word.replace("gated", "refused")));
  expect(refused.code).toBe(2);
  expect(existsSync(file("refused.onnx"))).toBe(false);
});

test("a PNG's rows come back as they went in", () => {
  const pixels = Uint8Array.from({ length: 2 * 3 * 3 }, (_, i) => i * 7);
  const png = encodePng(pixels, 3, 2, 3);
  // After the signature: IHDR of 13 bytes, then IDAT.
  const view = new DataView(png.buffer, png.byteOffset);
  expect([view.getUint32(16), view.getUint32(20), png[24], png[25]]).toEqual([3, 2, 8, 2]);
  const length = view.getUint32(33);
  const rows = inflateSync(png.subarray(41, 41 + length));
  expect([...rows]).toEqual([0, ...pixels.subarray(0, 9), 0, ...pixels.subarray(9)]);
});

const CHROMIUM = "/usr/bin/chromium";
if (!existsSync(CHROMIUM)) console.log(`skipped: no Chromium at ${CHROMIUM} (apt-get install chromium)`);
describe.skipIf(!existsSync(CHROMIUM))("in a real browser", () => {
  let browser: Browser;
  beforeAll(async () => {
    const { chromium } = await import("playwright-core");
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
  });
  afterAll(() => browser?.close());

  test("the report renders without an error or a request, on a screen and in print", async () => {
    const page = await browser.newPage({ viewport: { width: 1000, height: 800 } });
    const complaints: string[] = [];
    const requests: string[] = [];
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("request", (request) => requests.push(request.url()));
    await page.goto(`file://${file("r.html")}`);
    expect(await page.locator("h1").innerText()).toBe("Unlearning report");
    const plots = page.locator("figure svg");
    // Trade-off, three histograms, ROC, classes, losses, ledger, tensors.
    expect(await plots.count()).toBe(9);
    for (const box of await Promise.all((await plots.all()).map((plot) => plot.boundingBox()))) {
      expect(box!.width).toBeGreaterThan(200);
      expect(box!.height).toBeGreaterThan(150);
    }
    // Nothing sticks out to the right, also on a narrow screen.
    for (const width of [1000, 400]) {
      await page.setViewportSize({ width, height: 800 });
      const [content, seen] = (await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")) as [
        number,
        number,
      ];
      expect(content, `at ${width} pixels`).toBeLessThanOrEqual(seen);
    }
    const pdf = await page.pdf({ format: "A4" });
    expect(pdf.subarray(0, 5).toString()).toBe("%PDF-");
    expect(complaints).toEqual([]);
    expect(requests.filter((url) => !url.startsWith("data:"))).toEqual([`file://${file("r.html")}`]);
    await page.close();
  });
});
