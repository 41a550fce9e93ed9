import Table from "cli-table3";
import type { Evaluation, Gap, Metric } from "../evaluate/evaluation.ts";

const NAMES: { readonly [M in Metric]: string } = {
  forgetAccuracy: "forget accuracy",
  retainAccuracy: "retain accuracy",
  testAccuracy: "test accuracy",
  miaEfficacy: "MIA efficacy",
};

const percent = (share: number | null) => (share === null ? "–" : `${(share * 100).toFixed(2)} %`);
const points = (share: number | null) => (share === null ? "–" : (share * 100).toFixed(2));

/** One column of figures. */
export interface Column {
  readonly title: string;
  readonly metrics: Evaluation;
  /** To the reference; adds the row of average gaps. */
  readonly gap?: Gap;
}

/** The field's figures side by side, in percent; the reason below where one is missing. */
export function metricsTable(columns: readonly Column[]): string {
  const table = new Table({
    head: ["", ...columns.map(({ title }) => title)],
    colAligns: ["left", ...columns.map(() => "right" as const)],
    style: { head: [], border: [] },
  });
  for (const [metric, name] of Object.entries(NAMES) as [Metric, string][])
    table.push([name, ...columns.map(({ metrics }) => percent(metrics[metric]))]);
  if (columns.some(({ metrics }) => metrics.validationAccuracy !== null))
    table.push(["validation accuracy", ...columns.map(({ metrics }) => percent(metrics.validationAccuracy))]);
  if (columns.some(({ gap }) => gap))
    table.push([
      "average gap to reference",
      ...columns.map(({ gap }) => (gap ? `${points(gap.average)} points` : "")),
    ]);
  const reasons = [...new Set(columns.flatMap(({ metrics }) => metrics.reason ?? []))];
  return [table.toString(), ...reasons.map((reason) => `– : ${reason}`)].join("\n");
}
