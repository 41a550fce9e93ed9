import type { SweepDocument, SweepRun } from "../sweep/sweep.ts";

const UTILITY = {
  validationAccuracy: "accuracy on validation data, %",
  retainAccuracy: "accuracy on retained data, %",
} as const;

/**
 * The sweep as an SVG picture: a point for every exported run, coloured by method; a line for the Pareto
 * front; marks for the shipped model and the reference.
 */
export async function frontPicture({
  runs,
  front,
  utility,
  before,
  reference,
}: SweepDocument): Promise<string> {
  const echarts = await import("echarts");
  const percent = (share: number) => Math.round(share * 1e4) / 100;
  const place = (metrics: NonNullable<SweepRun["after"]>): [number, number] => [
    percent(metrics.forgetAccuracy!),
    percent(metrics[utility] ?? metrics.retainAccuracy!),
  ];
  const exported = runs.filter((run) => run.after !== null);
  const methods = [...new Set(exported.map(({ method }) => method))];
  const along = front.map((name) => place(exported.find((run) => run.name === name)!.after!));
  const marked = [
    ...(before ? [{ name: "as shipped", value: place(before) }] : []),
    // A reference has a validation accuracy only if validation data were given as a file.
    ...(reference && reference[utility] !== null ? [{ name: "reference", value: place(reference) }] : []),
  ];
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: 800, height: 560 });
  try {
    chart.setOption({
      animation: false,
      title: { text: "Forgetting against utility", left: "center" },
      legend: { bottom: 0 },
      grid: { left: 70, right: 30, top: 50, bottom: 80 },
      xAxis: {
        name: "accuracy on the forget set, %",
        nameLocation: "middle",
        nameGap: 28,
        inverse: true,
        scale: true,
      },
      yAxis: { name: UTILITY[utility], nameLocation: "middle", nameGap: 46, scale: true },
      series: [
        { name: "Pareto front", type: "line", data: along, step: "end", symbol: "none", color: "#888" },
        ...methods.map((method) => ({
          name: method,
          type: "scatter" as const,
          symbolSize: 9,
          data: exported
            .filter((run) => run.method === method)
            .map((run) => ({ name: run.name, value: place(run.after!) })),
        })),
        {
          name: "models",
          type: "scatter" as const,
          symbol: "diamond",
          symbolSize: 13,
          color: "#222",
          data: marked,
          label: { show: true, position: "top", formatter: "{b}" },
        },
      ],
    });
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}
