import { LANES, type TestResult } from "./run.ts";

const counted = (results: readonly TestResult[]) => {
  const of = (kind: TestResult["outcome"]["kind"]) =>
    results.filter(({ outcome }) => outcome.kind === kind).length;
  return { passed: of("passed"), failed: of("failed"), notListed: of("not listed") };
};

const grouped = <T>(items: readonly T[], key: (item: T) => string): [string, T[]][] => {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1));
};

/** Share of the listed tests that passed, 0 … 1. */
export function share(results: readonly TestResult[]): number {
  const { passed, failed } = counted(results);
  return passed / Math.max(1, passed + failed);
}

/** One sentence: how many passed, failed and are not listed. */
export function summary(results: readonly TestResult[]): string {
  const { passed, failed, notListed } = counted(results);
  const percent = (100 * share(results)).toFixed(1);
  return (
    `${results.length} tests, ${passed + failed} of them use only float32, bool, int32 and int64 tensors: ` +
    `${passed} passed, ${failed} failed (${percent} %); ${notListed} not listed.`
  );
}

/** The results as Markdown: per operator every failure with its cause and every exclusion with its reason. */
export function markdown(title: string, results: readonly TestResult[]): string {
  const lines = [
    `## ${title}`,
    "",
    summary(results),
    "",
    "Passed means: forward on tfjs's `cpu` backend and compiled in ONNX Runtime, shape, element type and every value,",
    "|a − b| ≤ 1e-7 + 1e-3 |b| (the tolerances of onnx.backend.test).",
    "",
    "| operator | passed | failed | not listed |",
    "| --- | ---: | ---: | ---: |",
    ...grouped(results, ({ operator }) => operator).map(([operator, own]) => {
      const { passed, failed, notListed } = counted(own);
      return `| ${operator} | ${passed} | ${failed} | ${notListed} |`;
    }),
    "",
    "### How the inputs were given",
    "",
    ...LANES.map(
      (lane) =>
        `- ${lane}: ${results.filter(({ outcome }) => outcome.kind === "passed" && outcome.lane === lane).length} passed`,
    ),
    "",
    "### Failed",
    "",
    ...results.flatMap(({ name, outcome }) =>
      outcome.kind === "failed" ? [`- ${name}: ${outcome.why.replace(/[|]/g, "¦")}`] : [],
    ),
    "",
    "### Not listed",
    "",
    ...grouped(
      results.filter(({ outcome }) => outcome.kind === "not listed"),
      ({ outcome }) => (outcome.kind === "not listed" ? outcome.why : ""),
    ).map(([why, own]) => `- ${why} (${own.length}): ${own.map(({ name }) => name).join(", ")}`),
    "",
  ];
  return lines.join("\n");
}
