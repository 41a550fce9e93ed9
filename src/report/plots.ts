import { BarChart, LineChart, ScatterChart } from "echarts/charts";
import {
  AriaComponent,
  GridComponent,
  LegendComponent,
  MarkLineComponent,
  TitleComponent,
} from "echarts/components";
import { type EChartsCoreOption, init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import type { DiffDocument } from "../case/compare.ts";
import { SETS } from "../evaluate/glossary.ts";
import type { LedgerEntry } from "../unlearn/types.ts";
import { largest } from "./format.ts";

use([
  AriaComponent,
  BarChart,
  GridComponent,
  LegendComponent,
  LineChart,
  MarkLineComponent,
  ScatterChart,
  SVGRenderer,
  TitleComponent,
]);

/** A plot of the report: an SVG with a caption. */
export interface Plot {
  readonly title: string;
  readonly caption: string;
  readonly svg: string;
}

// Dark enough for print on white, distinct under every kind of colour blindness, with different shapes and
// dashes.
const BEFORE = { color: "#b35806", dash: "dashed", symbol: "circle" } as const;
const AFTER = { color: "#1f4e9c", dash: "solid", symbol: "rect" } as const;
const REFERENCE = { color: "#444444", dash: "dotted", symbol: "triangle" } as const;
const FONT = { fontFamily: "system-ui, sans-serif", fontSize: 12, color: "#222" };

/** Parts of the SVG that only an interactive chart needs: hover styles and attributes for scripts. */
const HOVER =
  /<style ><!\[CDATA\[.*?\]\]><\/style>| class="zr\d+-cls-\d+"| ecmeta_\w+="[^"]*"| pointer-events="visible"/g;

/** Renders a chart to SVG, without a browser. */
function render(width: number, height: number, option: EChartsCoreOption): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    chart.setOption({ animation: false, textStyle: FONT, backgroundColor: "#fff", ...option });
    return chart.renderToSVGString().replaceAll("\n", "").replace(HOVER, "");
  } finally {
    chart.dispose();
  }
}

/** A numeric axis. */
const axis = (name: string, extra: object = {}) => ({
  type: "value",
  name,
  nameLocation: "middle",
  nameGap: 32,
  nameTextStyle: FONT,
  axisLabel: { color: "#222" },
  axisLine: { show: true, lineStyle: { color: "#666" } },
  splitLine: { lineStyle: { color: "#e4e4e4" } },
  ...extra,
});
// The legend shows the line with its dashes instead of a dot.
const LEGEND = { top: 4, textStyle: FONT, itemWidth: 36, itemStyle: { opacity: 0 } };
const GRID = { left: 64, right: 24, top: 40, bottom: 56 };
const percentages = { axisLabel: { formatter: "{value} %", color: "#222" } };

type Style = {
  readonly color: string;
  readonly dash: "solid" | "dashed" | "dotted";
  readonly symbol: string;
};
const line = (
  name: string,
  { color, dash }: Style,
  data: readonly (readonly (number | null)[])[],
  extra: object = {},
) => ({
  type: "line",
  name,
  data,
  symbol: "none",
  lineStyle: { color, type: dash, width: 2 },
  itemStyle: { color },
  ...extra,
});

function tradeOff({ before, after, reference }: DiffDocument): readonly Plot[] {
  // A regression has no accuracies.
  if (before.forgetAccuracy === null) return [];
  const utility = (of: DiffDocument["before"]) => 100 * (of.testAccuracy ?? of.retainAccuracy ?? 0);
  const forgotten = (of: DiffDocument["before"]) => 100 * (1 - (of.forgetAccuracy ?? 0));
  const point = (name: string, of: DiffDocument["before"], { color, symbol }: Style) => ({
    type: "scatter",
    name,
    symbol,
    symbolSize: 12,
    itemStyle: { color },
    label: { show: true, formatter: name, position: "top", color: "#222" },
    data: [[utility(of), forgotten(of)]],
  });
  const shown = [before, after, ...(reference ? [reference.metrics] : [])];
  /** Range of a percent axis around the points, with a margin on both sides. */
  const around = (values: readonly number[]) => {
    const room = Math.max(1, 0.25 * (Math.max(...values) - Math.min(...values)));
    return {
      min: Math.max(0, Math.floor(Math.min(...values) - room)),
      max: Math.min(100, Math.ceil(Math.max(...values) + room)),
    };
  };
  const measured = before.testAccuracy === null ? "accuracy on the retained set" : "accuracy on the test set";
  const plot = {
    title: "Forgetting against utility",
    caption: `Unlearning accuracy (share of the forget set that is misclassified) over ${measured}. The goal is the reference, not the top: a model that never saw the forget set still classifies part of it correctly.`,
    svg: render(420, 340, {
      grid: GRID,
      xAxis: axis(measured, { ...around(shown.map(utility)), ...percentages }),
      yAxis: axis("unlearning accuracy", {
        nameGap: 48,
        ...around(shown.map(forgotten)),
        ...percentages,
      }),
      series: [
        point("BEFORE", before, BEFORE),
        point("AFTER", after, AFTER),
        ...(reference ? [point("REFERENCE", reference.metrics, REFERENCE)] : []),
      ],
    }),
  };
  return [plot];
}

function confidenceHistograms({ curves }: DiffDocument): readonly Plot[] {
  return SETS.flatMap((set) => {
    const counts = curves.confidence[set];
    if (!counts) return [];
    const shares = (list: readonly number[]) => {
      const total = list.reduce((a, b) => a + b, 0);
      // A step starts at the left edge of its bin; the last value is repeated to end the line at 1.
      return [...list, list.at(-1)!].map((n, i) => [i / list.length, (100 * n) / total]);
    };
    return [
      {
        title: `Confidence on the ${set} set`,
        caption: `Share of the ${set} set per probability of its label, in ${counts.before.length} equal steps.`,
        svg: render(420, 300, {
          grid: GRID,
          legend: LEGEND,
          xAxis: axis("probability of the label", { min: 0, max: 1 }),
          yAxis: axis("share", { nameGap: 44, ...percentages }),
          series: [
            line("before", BEFORE, shares(counts.before), { step: "end" }),
            line("after", AFTER, shares(counts.after), {
              step: "end",
              areaStyle: { color: AFTER.color, opacity: 0.12 },
            }),
          ],
        }),
      },
    ];
  });
}

function rocPlot({ curves }: DiffDocument): readonly Plot[] {
  if (!curves.roc) return [];
  return [
    {
      title: "ROC of the membership attack",
      caption:
        "Share of the forget set (members) against share of the test set (non-members) called members. On the diagonal the forget set looks like unseen data; below it, it is less likely than unseen data, which can be told as well.",
      svg: render(420, 380, {
        grid: GRID,
        legend: LEGEND,
        xAxis: axis("test set called members", { min: 0, max: 1 }),
        yAxis: axis("forget set called members", { min: 0, max: 1, nameGap: 44 }),
        series: [
          line("before", BEFORE, curves.roc.before),
          line("after", AFTER, curves.roc.after),
          line("a coin", REFERENCE, [
            [0, 0],
            [1, 1],
          ]),
        ],
      }),
    },
  ];
}

/** A bar chart; long names are shortened. */
function bars(names: readonly string[], values: readonly number[], unit: string): string {
  // Room for the label of the longest bar to the left; the axis starts at a round number.
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const round = 10 ** Math.floor(Math.log10(high - low || 1)) / 5;
  const lowest = Math.floor((low - 0.12 * (high - low)) / round) * round;
  const short = (name: string) => (name.length > 34 ? `…${name.slice(-33)}` : name);
  return render(720, 80 + 22 * names.length, {
    grid: {
      left: 8,
      right: 72,
      top: 12,
      bottom: 48,
      outerBoundsMode: "same",
      outerBoundsContain: "axisLabel",
    },
    xAxis: axis(unit, { ...(low < 0 ? { min: Number(lowest.toPrecision(6)) } : {}) }),
    yAxis: {
      type: "category",
      inverse: true,
      data: names.map(short),
      axisLabel: { color: "#222", interval: 0 },
      axisLine: { lineStyle: { color: "#666" } },
    },
    series: [
      {
        type: "bar",
        data: values.map((value) => ({ value, label: { position: value < 0 ? "left" : "right" } })),
        itemStyle: { color: AFTER.color },
        barMaxWidth: 16,
        label: {
          show: true,
          color: "#222",
          formatter: ({ value }: { value: number }) => String(Number(value.toPrecision(3))),
        },
      },
    ],
  });
}

const MOST_BARS = 30;

function perClassPlot({ perClass }: DiffDocument): readonly Plot[] {
  const set = perClass.test ? "test" : "retain";
  const classes = perClass[set];
  if (!classes || classes.length === 0) return [];
  const change = ({ before, after }: { readonly before: number; readonly after: number }) =>
    100 * (after - before);
  const many = classes.length > MOST_BARS;
  const shown = largest(classes, MOST_BARS, (entry) => Math.abs(change(entry)));
  return [
    {
      title: "Change per class",
      caption: `Accuracy on each class of the ${set} set, after − before, percentage points${many ? `; the ${MOST_BARS} of ${classes.length} classes that moved most` : ""}.`,
      svg: bars(
        shown.map(({ label, count }) => `class ${label} (${count})`),
        shown.map(change),
        "percentage points",
      ),
    },
  ];
}

function weightsPlot({ weights }: DiffDocument): readonly Plot[] {
  const moved = weights.tensors
    .filter(({ changeNorm, norm }) => changeNorm !== null && norm > 0)
    .map(({ name, changeNorm, norm }) => ({ name, share: (100 * changeNorm!) / norm }));
  if (moved.length === 0) return [];
  const many = moved.length > MOST_BARS;
  const shown = largest(moved, MOST_BARS, ({ share }) => share);
  return [
    {
      title: "Change per tensor",
      caption: `‖after − before‖ / ‖before‖ of each changed weight, percent${many ? `; the ${MOST_BARS} of ${moved.length} that moved most` : ", in the order of the file"}.`,
      svg: bars(
        shown.map(({ name }) => name),
        shown.map(({ share }) => share),
        "percent of the weight's norm",
      ),
    },
  ];
}

/** Most points per line: more could not be distinguished, and would make the file large. */
const MOST_POINTS = 600;

function ledgerPlots(ledger: readonly LedgerEntry[]): readonly Plot[] {
  if (ledger.length < 2) return [];
  const every = Math.ceil(ledger.length / MOST_POINTS);
  const kept = ledger.filter((_, i) => i % every === 0 || i === ledger.length - 1);
  const of = (key: "forgetLoss" | "retainLoss" | "lambda") =>
    kept.map((entry) => [entry.step, entry[key]] as const);
  let [spent, allowed] = [0, 0];
  const sums = ledger.map(({ step, batchRise, epsilon }) => {
    spent += batchRise ?? 0;
    allowed += epsilon;
    return { step, spent, allowed };
  });
  const shown = sums.filter((_, i) => i % every === 0 || i === sums.length - 1);
  const base = { grid: { ...GRID, right: 64 }, legend: LEGEND };
  const steps = axis("step", { min: 1, max: ledger.length });
  const plots: Plot[] = [
    {
      title: "Losses and λ over the steps",
      caption:
        "Loss on the forget and the retained samples of each batch (left), the dual variable λ_t that weighs them (right).",
      svg: render(720, 320, {
        ...base,
        xAxis: steps,
        yAxis: [axis("loss", { nameGap: 44 }), axis("λ", { nameGap: 40, splitLine: { show: false } })],
        series: [
          line("forget loss", BEFORE, of("forgetLoss"), { connectNulls: true }),
          line("retain loss", AFTER, of("retainLoss"), { connectNulls: true }),
          line("λ", REFERENCE, of("lambda"), { yAxisIndex: 1 }),
        ],
      }),
    },
  ];
  if (ledger.some(({ batchRise }) => batchRise !== null))
    plots.push({
      title: "Budget ledger",
      caption:
        "Sum of the measured rises of the log utility loss on the batches (spent) against the sum of ε_t (allowed).",
      svg: render(720, 300, {
        ...base,
        xAxis: steps,
        yAxis: axis("log ratio, summed", { nameGap: 44 }),
        series: [
          line(
            "spent",
            AFTER,
            shown.map((s) => [s.step, s.spent]),
          ),
          line(
            "allowed",
            REFERENCE,
            shown.map((s) => [s.step, s.allowed]),
          ),
        ],
      }),
    });
  const measured = ledger.filter(({ validationRise }) => validationRise !== null);
  if (measured.length > 1)
    plots.push({
      title: "Utility lost on validation data",
      caption: "Measured during the run, in the budget's unit, since the start.",
      svg: render(720, 300, {
        ...base,
        xAxis: steps,
        yAxis: axis("lost", { nameGap: 44 }),
        series: [
          line(
            "lost",
            AFTER,
            measured.map((entry) => [entry.step, entry.validationRise]),
          ),
        ],
      }),
    });
  return plots;
}

/** Every plot that the document has figures for; the same document gives the same bytes. */
export const plotsOf = (document: DiffDocument, ledger: readonly LedgerEntry[]): readonly Plot[] =>
  [
    ...tradeOff(document),
    ...confidenceHistograms(document),
    ...rocPlot(document),
    ...perClassPlot(document),
    ...ledgerPlots(ledger),
    ...weightsPlot(document),
    // The library numbers ids across the process; they are replaced by numbers that depend on the page only.
  ].map((plot, i) => ({ ...plot, svg: plot.svg.replaceAll(/\bzr\d+-/g, `plot${i}-`) }));
