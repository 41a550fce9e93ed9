import Table from "cli-table3";
import type { UnlearnDocument } from "../case/unlearn.ts";
import type { OperatorTime } from "../engine/profile.ts";
import type { Evaluation, Gap, Metric } from "../evaluate/evaluation.ts";
import type { CheckStatus, GateReport } from "../gates/judge.ts";
import type { SweepDocument } from "../sweep/sweep.ts";
import { format, NONE, STATUS, STATUS_ORDER, worstFirst } from "./format.ts";

const NAMES: { readonly [M in Metric]: string } = {
  forgetAccuracy: "forget accuracy",
  retainAccuracy: "retain accuracy",
  testAccuracy: "test accuracy",
  miaEfficacy: "MIA efficacy",
};

const percent = (share: number | null) => format(share, "share");
const points = (share: number | null) => (share === null ? NONE : (share * 100).toFixed(2));

/** A column of the table of figures. */
export interface Column {
  readonly title: string;
  readonly metrics: Evaluation;
  /** Gap to the reference; if any column has it, the table has a row of average gaps. */
  readonly gap?: Gap;
}

/** The headline figures side by side, in percent; below it, the reasons for missing ones. */
export function metricsTable(columns: readonly Column[]): string {
  const table = new Table({
    head: ["", ...columns.map(({ title }) => title)],
    colAligns: ["left", ...columns.map(() => "right" as const)],
    style: { head: [], border: [] },
  });
  const losses = columns.find(({ metrics }) => metrics.losses)?.metrics.losses;
  for (const set of losses ? (["forget", "retain", "test", "validation"] as const) : [])
    if (losses![set] !== null)
      table.push([
        `${set} loss (${losses!.unit})`,
        ...columns.map(({ metrics }) => metrics.losses?.[set]?.toPrecision(4) ?? "–"),
      ]);
  const accurate = columns.some(({ metrics }) => metrics.forgetAccuracy !== null);
  for (const [metric, name] of Object.entries(NAMES) as [Metric, string][])
    if (accurate || metric === "miaEfficacy")
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

/** One line per check, the failing ones first, and the verdict. */
export function gatesText({ verdict, checks }: GateReport): string {
  const count = (status: CheckStatus) => checks.filter((check) => check.status === status).length;
  return [
    ...worstFirst(checks).map(
      ({ name, status, limit, sentence }) => `${STATUS[status]}  ${name} (${limit}): ${sentence}`,
    ),
    `Gates ${verdict}: ${STATUS_ORDER.map((status) => `${count(status)} ${status}`).join(", ")}.`,
  ].join("\n");
}

/** The exported file against its budget and limits, one line each. */
export function guardText(guard: NonNullable<UnlearnDocument["budget"]["guard"]>): string {
  const unit = guard.total?.unit ?? "accuracy";
  const amount = (value: number) =>
    unit === "accuracy" ? `${(100 * value).toFixed(2)} points` : `${value.toFixed(4)} ${unit}`;
  const { spent, interval, total, validation, also, stoppedBy } = guard;
  return [
    `Utility lost on ${validation.samples} validation samples${validation.withheld ? " withheld from the retained ones" : ""}: ${amount(spent)}${total ? ` of ${amount(total.amount)} allowed` : ""} (95 % interval ${amount(interval.lower)} to ${amount(interval.upper)}).`,
    ...Object.entries(also).map(
      ([name, { before, after }]) =>
        `Accuracy on ${name}: ${percent(before)} before, ${percent(after)} after.`,
    ),
    ...(stoppedBy === null ? [] : [`Stopped at step ${guard.step}: ${stoppedBy}.`]),
  ].join("\n");
}

/** Time of a training step by operator. */
export function profileTable(rows: readonly OperatorTime[]): string {
  const table = new Table({
    head: ["operator", "nodes", "ms per step", "share"],
    colAligns: ["left", "right", "right", "right"],
    style: { head: [], border: [] },
  });
  for (const { operator, nodes, millisecondsPerStep, share } of rows)
    table.push([operator, nodes, millisecondsPerStep.toFixed(3), percent(share)]);
  return table.toString();
}

/** Every run of a sweep: those on the Pareto front are marked, failed ones have their error. */
export function sweepTable({ runs, utility }: SweepDocument): string {
  const gaps = runs.some(({ averageGap }) => averageGap !== null);
  const gated = runs.some(({ gates }) => gates !== null);
  const table = new Table({
    head: [
      "",
      "run",
      "forget",
      utility === "validationAccuracy" ? "validation" : "retain",
      "test",
      ...(gaps ? ["gap"] : []),
      ...(gated ? ["gates"] : []),
      "s",
    ],
    colAligns: [
      "left",
      "left",
      "right",
      "right",
      "right",
      ...(gaps ? ["right" as const] : []),
      ...(gated ? ["left" as const] : []),
      "right",
    ],
    style: { head: [], border: [] },
  });
  for (const { name, after, averageGap, gates, seconds, onFront, error } of runs)
    if (after)
      table.push([
        onFront ? "●" : "",
        name,
        percent(after.forgetAccuracy),
        percent(after[utility]),
        percent(after.testAccuracy),
        ...(gaps ? [points(averageGap)] : []),
        ...(gated ? [gates ?? "–"] : []),
        seconds?.toFixed(1) ?? "–",
      ]);
    else
      table.push([
        "",
        name,
        { colSpan: 4 + Number(gaps) + Number(gated), content: (error ?? "").split(/[;,.]/)[0]! },
      ]);
  return `${table.toString()}\n● on the Pareto front: no other run forgets more at no less utility.`;
}
