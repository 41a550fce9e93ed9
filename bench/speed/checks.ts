import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { elementCount } from "../../converters/dims.ts";
import { importModel } from "../../converters/importer.ts";
import { readModel } from "../../converters/onnx/read.ts";
import { median } from "./median.ts";
import type { Contender } from "./process.ts";
import { type Workload, workloads } from "./workloads.ts";

/** A figure that must stay within bounds, whatever the peer does. */
export interface Check {
  readonly what: string;
  readonly unit: string;
  readonly measured: number;
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly holds: boolean;
}

type Bounds = Pick<Check, "atLeast" | "atMost">;

const check = (what: string, unit: string, measured: number, bounds: Bounds): Check => ({
  what,
  unit,
  measured,
  ...bounds,
  holds:
    measured >= (bounds.atLeast ?? Number.NEGATIVE_INFINITY) &&
    measured <= (bounds.atMost ?? Number.POSITIVE_INFINITY),
});

/**
 * Floating-point operations in the convolutions of one step, each counted as a direct convolution: forward
 * twice, for the weights, and for the activations if these have a gradient.
 */
export function convolutionFlops({ model, sample, batch }: Workload): number {
  const source = readModel(model());
  const shapes = importModel(source).shapes({ input: [batch, ...sample] });
  let total = 0;
  for (const { opType, inputs, outputs } of source.graph.nodes) {
    if (opType !== "Conv") continue;
    const filter = source.graph.initializers.get(inputs[1]!)!.dims.slice(1);
    const forward = 2 * elementCount(shapes.get(outputs[0]!)!) * elementCount(filter);
    total += forward * (inputs[0] === "input" ? 3 : 4);
  }
  return total;
}

/** Median ratio of the first time to the second, measured alternately. */
async function ratio(longer: () => Promise<number>, shorter: () => Promise<number>): Promise<number> {
  const ratios: number[] = [];
  for (let round = 0; round < 7; round++) {
    const seconds = await shorter();
    ratios.push((await longer()) / seconds);
  }
  return median(ratios);
}

/** Median time of `--help`, in milliseconds, the start of Node included. */
function helpMilliseconds(): number {
  const times = Array.from({ length: 7 }, () => {
    const started = performance.now();
    spawnSync(process.execPath, [join(import.meta.dirname, "../../src/cli/main.js"), "--help"]);
    return performance.now() - started;
  });
  return median(times);
}

/**
 * @param start starts a worker on a workload
 * @param startLean the same, with Node's own memory as small as possible, so that a leak of the steps shows
 * @param rates samples per second and compile time of ResNet-18, FLOP/s of a matrix product on this machine,
 *   all from this run
 */
export async function runChecks(
  start: (workload: string) => Promise<Contender>,
  startLean: (workload: string) => Promise<Contender>,
  rates: {
    readonly samplesPerSecond: number;
    readonly compileSeconds: number;
    readonly matmulFlopsPerSecond: number;
  },
): Promise<readonly Check[]> {
  const checks: Check[] = [];
  const secondsOf = (contender: Contender, steps: number) => async () => (await contender.run(steps)).seconds;

  const [shallow, deep] = [await start("shallow"), await start("deep")];
  for (const contender of [shallow, deep]) await contender.run(3);
  const depth = await ratio(secondsOf(deep, 4), secondsOf(shallow, 4));
  const samples = await ratio(secondsOf(shallow, 16), secondsOf(shallow, 8));
  await shallow.stop();
  await deep.stop();
  checks.push(check("time for twice the samples", "×", samples, { atLeast: 1.9, atMost: 2.1 }));
  checks.push(check("time for four times the depth (ResNet-26 to ResNet-8)", "×", depth, { atMost: 4.3 }));

  const resnet = workloads["resnet18"]!;
  const rate = (convolutionFlops(resnet) / resnet.batch) * rates.samplesPerSecond;
  const share = rate / rates.matmulFlopsPerSecond;
  checks.push(
    check("ResNet-18: convolution FLOP/s to those of a 1024³ MatMul", "", share, { atLeast: 0.65 }),
  );
  checks.push(check("ResNet-18: compile time", "s", rates.compileSeconds, { atMost: 3 }));

  const long = await startLean("shallow");
  const early = (await long.run(100)).residentBytes;
  const late = (await long.run(900)).residentBytes;
  await long.stop();
  const memory = { atLeast: 0.98, atMost: 1.02 };
  checks.push(
    check("ResNet-8: resident memory after 1,000 steps to that after 100", "", late / early, memory),
  );
  checks.push(check("--help", "ms", helpMilliseconds(), { atMost: 150 }));
  return checks;
}

/** How a check reads in the table. */
export const checkCells = ({ what, unit, measured, atLeast, atMost, holds }: Check): readonly string[] => [
  what,
  `${unit === "ms" ? measured.toFixed(0) : measured.toFixed(2)} ${unit}`.trim(),
  [atLeast === undefined ? "" : `≥ ${atLeast}`, atMost === undefined ? "" : `≤ ${atMost}`]
    .filter(Boolean)
    .join(", "),
  holds ? "holds" : "missed",
];
