import { type Evaluation, gapTo } from "../../src/evaluate/evaluation.ts";
import { compared, type Experiment } from "./plan.ts";

/** What one run leaves in its file. */
export interface Result extends Experiment {
  readonly before: Evaluation;
  readonly after: Evaluation;
  /** To Retrain, a fraction; null where there is none. */
  readonly averageGap: number | null;
  readonly seconds: number;
  readonly samplesPerSecond: number;
  readonly parity: number | null;
  readonly threads: number;
}

const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
/** Mean, and ± the sample standard deviation where there are several; values are fractions, shown in percent. */
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

/** Per scenario: every method that has final runs, with the searched rate; those without are named below. */
export function tables(results: readonly Result[], reference: Evaluation | null): string {
  const lines: string[] = [];
  for (const scenario of ["random", "class"] as const) {
    const here = results.filter((result) => result.scenario === scenario);
    const [first] = here;
    if (!first) continue;
    const gap = scenario === "random" && reference !== null;
    const head = [
      "",
      "learning rate",
      "epochs",
      "seeds",
      "UA",
      "RA",
      "TA",
      "MIA",
      ...(gap ? ["average gap"] : []),
      "seconds",
    ];
    lines.push(
      scenario === "random"
        ? "Random forgetting of 4,500 images:"
        : "Class-wise forgetting of class 3 (TA without the class):",
      "",
      `| ${head.join(" | ")} |`,
      `| --- |${head
        .slice(1)
        .map(() => " ---: |")
        .join("")}`,
    );
    const row = (cells: readonly string[]) => lines.push(`| ${cells.join(" | ")} |`);
    const against = (evaluation: Evaluation) =>
      gap ? [percent([gapTo(evaluation, reference).average!])] : [];
    row(["as shipped", "", "", "", ...columns([first.before]), ...against(first.before), ""]);
    if (gap) row(["**Retrain**", "", "", "", ...columns([reference]), "0", ""]);
    for (const phase of ["final", "search"] as const)
      for (const method of compared) {
        const runs = here.filter((result) => result.method === method && result.phase === phase);
        for (const lr of [...new Set(runs.map(({ options }) => options.lr))]) {
          const of = runs.filter(({ options }) => options.lr === lr);
          row([
            phase === "final" ? method : `${method}, search`,
            `${lr}`,
            `${of[0]!.options.epochs}`,
            `${of.length}`,
            ...columns(of.map(({ after }) => after)),
            ...(gap ? [percent(of.map(({ averageGap }) => averageGap!))] : []),
            mean(of.map(({ seconds }) => seconds)).toFixed(0),
          ]);
        }
      }
    const missing = compared.filter(
      (method) => !here.some((result) => result.method === method && result.phase === "final"),
    );
    if (missing.length > 0) lines.push("", `No final runs yet: ${missing.join(", ")}.`);
    lines.push("");
  }
  return `${lines.join("\n").trimEnd()}\n`;
}
