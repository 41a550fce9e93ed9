import type { DiffDocument } from "../case/compare.ts";
import type { Figure } from "../evaluate/comparison.ts";
import { type Definition, glossary, type MetricName, metricNames, SETS } from "../evaluate/glossary.ts";

/** The first lines of every view. */
export interface Verdict {
  readonly status: "passed" | "failed" | "none";
  readonly sentence: string;
}

export function verdictOf({ gates }: DiffDocument): Verdict {
  if (!gates) return { status: "none", sentence: "No gates were given: these are figures, not a verdict." };
  const count = (status: string) => gates.checks.filter((check) => check.status === status).length;
  const parts = [`${count("passed")} passed`];
  for (const status of ["failed", "skipped", "warned"] as const)
    if (count(status) > 0) parts.push(`${count(status)} ${status}`);
  return {
    status: gates.verdict,
    sentence: `${gates.verdict === "passed" ? "All gates hold" : "Not to be shipped"}: of ${gates.checks.length} checks ${parts.join(", ")}.`,
  };
}

export interface Row {
  readonly name: MetricName;
  readonly definition: Definition;
  readonly figure: Figure;
}

const rows = (document: DiffDocument, wanted: readonly MetricName[]): Row[] =>
  wanted.flatMap((name) => {
    const figure = document.figures[name];
    return figure ? [{ name, definition: glossary[name], figure }] : [];
  });

const HEADLINE = [
  "unlearningAccuracy",
  "retainAccuracy",
  "testAccuracy",
  "miaEfficacy",
  "miaAuc",
  "averageGap",
] as const satisfies readonly MetricName[];

/** The headline figures. */
export const headline = (document: DiffDocument): Row[] => rows(document, HEADLINE);

/** All measured metrics, grouped by subject. */
export function groups(document: DiffDocument): readonly { readonly title: string; readonly rows: Row[] }[] {
  const of = (start: string) => metricNames.filter((name) => name.startsWith(start));
  const bySet = SETS.flatMap(of);
  const cost = [
    "latencyRatio",
    "latency",
    "bytes",
    "changedTensors",
    "relativeChange",
    "nonFiniteOutputs",
  ] as const;
  const forgetting = ["unlearningAccuracy", ...of("forget"), "relearnSteps", "averageGap"] as MetricName[];
  const taken = new Set<MetricName>([...bySet, ...cost, ...forgetting]);
  return [
    { title: "Forgetting", rows: rows(document, forgetting) },
    { title: "Utility on the retained set", rows: rows(document, of("retain")) },
    { title: "Utility on the test set", rows: rows(document, of("test")) },
    {
      title: "Membership inference",
      rows: rows(
        document,
        metricNames.filter((name) => !taken.has(name)),
      ),
    },
    { title: "Cost and file", rows: rows(document, cost) },
  ].filter((group) => group.rows.length > 0);
}
