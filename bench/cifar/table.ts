import { type Evaluation, gapTo } from "../../src/evaluate/evaluation.ts";
import { compared, type Experiment } from "./plan.ts";

/** What one run leaves in its file. */
export interface Result extends Experiment {
  readonly before: Evaluation;
  readonly after: Evaluation;
  /** Average gap to the retrained model, as a fraction; null where there is no retrained model. */
  readonly averageGap: number | null;
  /** Class-wise: accuracy on the test images of the class. */
  readonly classTestAccuracy?: { readonly before: number; readonly after: number };
  /** CPU seconds of the whole job: measuring before, training, exporting, measuring after. */
  readonly cpuSeconds: number;
  readonly samplesPerSecond: number;
  readonly parity: number | null;
  readonly threads: number;
}

/** A run whose loss was no longer finite. Its setting counts as tried but cannot be chosen. */
export interface Diverged extends Experiment {
  readonly diverged: string;
}

export const hasEnded = (run: Result | Diverged): run is Result => !("diverged" in run);

/**
 * What the search minimises, without looking at the retrained model (docs/method.md, "How unlearning is
 * judged"). Settings that do not lower forget accuracy are excluded: the unchanged weights would score best
 * of all. Class-wise the score is the remaining forget accuracy plus the losses of RA and TA.
 */
export function score({ scenario, before, after }: Result): number {
  const retain = after.retainAccuracy! - before.retainAccuracy!;
  const test = after.testAccuracy! - before.testAccuracy!;
  return scenario === "random"
    ? Math.abs(retain) + Math.abs(test) + Math.abs(after.forgetAccuracy! - before.testAccuracy!)
    : after.forgetAccuracy! + Math.max(0, -retain) + Math.max(0, -test);
}

const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
/**
 * Mean, and ± the sample standard deviation if there are several values. Values are fractions, shown in
 * percent.
 */
function percent(values: readonly number[]): string {
  const centre = mean(values);
  if (values.length === 1) return (100 * centre).toFixed(2);
  const spread = Math.sqrt(values.reduce((sum, v) => sum + (v - centre) ** 2, 0) / (values.length - 1));
  return `${(100 * centre).toFixed(2)} ± ${(100 * spread).toFixed(2)}`;
}

const columns = (of: readonly Evaluation[]): string[] => [
  percent(of.map(({ forgetAccuracy }) => 1 - forgetAccuracy!)),
  percent(of.map(({ retainAccuracy }) => retainAccuracy!)),
  percent(of.map(({ testAccuracy }) => testAccuracy!)),
  percent(of.map(({ miaEfficacy }) => miaEfficacy!)),
];

const settingText = ({
  setting: { lr, epsilon },
  options: { epochs, forgetObjective },
}: Experiment): string =>
  [
    `lr ${lr}`,
    ...(epsilon === undefined ? [] : [`ε ${epsilon}`]),
    ...(forgetObjective === undefined ? [] : [forgetObjective]),
    epochs === 1 ? "1 epoch" : `${epochs} epochs`,
  ].join(", ");

const TITLES = {
  random: "Random forgetting of 4,500 images",
  class: "Class-wise forgetting of class 3; RA and TA without the class, whose own test images are apart",
} as const;

/**
 * Per scenario one row a method and setting, means over seeds in percent: the final runs, smallest average
 * gap first (class-wise: smallest score first), or the runs of the search.
 */
export function tables(
  results: readonly (Result | Diverged)[],
  reference: Evaluation | null,
  phase: Experiment["phase"],
): string {
  const lines: string[] = [];
  for (const scenario of ["random", "class"] as const) {
    const all = results.filter((result) => result.scenario === scenario && result.phase === phase);
    const here = all.filter(hasEnded);
    const lost = all.filter((run) => !hasEnded(run));
    const [first] = here;
    if (!first) continue;
    const head = [
      "",
      "setting",
      "seeds",
      "UA",
      "RA",
      "TA",
      "MIA",
      scenario === "random" ? "average gap" : "TA of the class",
      "CPU seconds",
    ];
    lines.push(`${TITLES[scenario]}:`, "");
    const row = (cells: readonly string[]) => lines.push(`| ${cells.join(" | ")} |`);
    row(head);
    lines.push(`| --- | --- |${" ---: |".repeat(head.length - 2)}`);
    const apart = (runs: readonly Result[], when: "before" | "after") =>
      scenario === "random"
        ? runs.map((run) => gapTo(run[when], reference!).average!)
        : runs.map(({ classTestAccuracy }) => classTestAccuracy![when]);
    row(["as shipped", "", "", ...columns([first.before]), percent(apart([first], "before")), ""]);
    if (scenario === "random" && reference) row(["**Retrain**", "", "", ...columns([reference]), "0.00", ""]);
    const groups = compared.flatMap((method) => {
      const runs = here.filter((result) => result.method === method);
      return [...new Set(runs.map(settingText))].map((setting) => ({
        method,
        setting,
        of: runs.filter((run) => settingText(run) === setting),
      }));
    });
    const rank = (runs: readonly Result[]) =>
      mean(runs.map((run) => (scenario === "random" ? run.averageGap! : score(run))));
    if (phase === "final") groups.sort((a, b) => rank(a.of) - rank(b.of));
    for (const { method, setting, of } of groups)
      row([
        method,
        setting,
        `${of.length}`,
        ...columns(of.map(({ after }) => after)),
        percent(apart(of, "after")),
        mean(of.map(({ cpuSeconds }) => cpuSeconds)).toFixed(0),
      ]);
    const missing = compared.filter((method) => !here.some((result) => result.method === method));
    if (lost.length > 0)
      lines.push("", `Diverged: ${lost.map((run) => `${run.method} at ${settingText(run)}`).join(", ")}.`);
    if (missing.length > 0) lines.push("", `Not run: ${missing.join(", ")}.`);
    lines.push("");
  }
  return `${lines.join("\n").trimEnd()}\n`;
}
