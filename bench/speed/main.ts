// npm run bench [-- --peer PYTHON] [--only NAME,NAME] [--threads N] [--launches N] [--pairs N] [--seconds S]
// [--job FOLDER] [--jobs N] [--epochs N]
// Training steps side by side with tfjs `cpu` or, with --peer (a Python with torch and onnx), with PyTorch
// twice (see SECOND_PASS). Both sides run in their own processes and alternate; every launch starts them
// anew, and the result is the median of the ratios of all pairs. --job also runs the whole job on the models
// and data of a folder. NAME is a workload, `checks` or `job`. Writes bench/results/speed.json and .md.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { FORGOTTEN, mostRetained } from "./batch.ts";
import { type Check, checkCells, runChecks } from "./checks.ts";
import { matmulRate } from "./matmul.ts";
import { median } from "./median.ts";
import { type Contender, type Measured, startContender } from "./process.ts";
import { wholeJob } from "./whole.ts";
import { depths, EPOCHS, type Workload, workloads } from "./workloads.ts";

const { values } = parseArgs({
  options: {
    peer: { type: "string" },
    only: { type: "string" },
    threads: { type: "string", default: String(Math.min(2, cpus().length)) },
    launches: { type: "string", default: "5" },
    pairs: { type: "string", default: "2" },
    seconds: { type: "string", default: "2" },
    job: { type: "string" },
    jobs: { type: "string", default: "2" },
    epochs: { type: "string", default: "3" },
    out: { type: "string", default: "bench/results/speed.json" },
  },
});
const threads = Number(values.threads);
const pairs = Number(values.pairs);
const worker = join(import.meta.dirname, "worker.js");
const peer = "bench/peers/pytorch.py";

/**
 * Warms up and finds how many steps fill the measuring time, in whole rounds of a frozen prefix and the steps
 * that share it.
 */
async function calibrate(contender: Contender): Promise<number> {
  await contender.run(2);
  const { seconds } = await contender.run(1);
  return EPOCHS * Math.max(1, Math.round(Number(values.seconds) / seconds / EPOCHS));
}

/** What the column about the second pass says. */
const SECOND_PASS =
  "EUPMU measures the retained samples' loss at the new weights with a second forward pass. The authors' code, and PyTorch here, runs it on the whole " +
  `batch, ours on the rows that can hold retained samples (${FORGOTTEN * 100} % are to be forgotten; of 128 rows, ${mostRetained(128)}). *Its second pass short*: ours / a PyTorch that leaves out ` +
  "the other rows as well.";

interface Row {
  readonly key: string;
  readonly workload: string;
  readonly samplesPerSecond: number;
  readonly cpuSecondsPerStep: number;
  readonly peakBytes: number;
  readonly compileSeconds: number;
  readonly engine: string;
  readonly peer?: {
    readonly engine: string;
    readonly layout: string;
    readonly samplesPerSecond: number;
    readonly speedRatio: number;
    readonly cpuRatio: number;
    readonly peakBytes: number;
    readonly memoryRatio: number;
    readonly lossDifference: number;
    /** Against a peer whose second forward pass leaves out what its loss is not taken from, as ours does. */
    readonly retainedSpeedRatio: number;
  };
  readonly tfjs?: { readonly samplesPerSecond: number; readonly speedRatio: number };
}

/**
 * Interleaved: ours, theirs, ours, theirs … Every launch starts new processes, as speed also depends on where
 * their memory happens to lie. The first losses are compared, before the weights drift apart.
 */
async function duel(
  start: Readonly<Record<"ours" | "theirs", () => Promise<Contender>>> & {
    readonly third?: () => Promise<Contender>;
  },
  batch: number,
) {
  const mine: { rate: number; cpu: number }[] = [];
  const yours: { rate: number; cpu: number }[] = [];
  const thirdRates: number[] = [];
  const peaks: [number[], number[]] = [[], []];
  const compileSeconds: number[] = [];
  const engines = { ours: "", theirs: "" };
  let lossDifference = 0;
  const figures = (m: Measured, steps: number) => ({
    rate: (steps * batch) / m.seconds,
    cpu: m.cpuSeconds / steps,
  });
  for (let launch = 0; launch < Number(values.launches); launch++) {
    const [ours, theirs, third] = [await start.ours(), await start.theirs(), await start.third?.()];
    engines.ours = ours.hello.engine;
    engines.theirs = theirs.hello.engine;
    compileSeconds.push(ours.hello.compileSeconds ?? 0);
    const [first, other] = [await ours.run(1), await theirs.run(1)];
    first.losses.forEach((loss, i) => {
      const difference = Math.abs(loss - other.losses[i]!) / Math.max(1e-3, Math.abs(loss));
      lossDifference = Math.max(lossDifference, difference);
    });
    const steps = [await calibrate(ours), await calibrate(theirs)] as const;
    const thirdSteps = third ? await calibrate(third) : 0;
    for (let pair = 0; pair < pairs; pair++) {
      const [m, y] = [await ours.run(steps[0]), await theirs.run(steps[1])];
      mine.push(figures(m, steps[0]));
      yours.push(figures(y, steps[1]));
      if (third) thirdRates.push(figures(await third.run(thirdSteps), thirdSteps).rate);
      if (pair < pairs - 1) continue;
      peaks[0].push(m.peakBytes);
      peaks[1].push(y.peakBytes);
    }
    await ours.stop();
    await theirs.stop();
    await third?.stop();
  }
  return {
    engines,
    ours: {
      samplesPerSecond: median(mine.map(({ rate }) => rate)),
      cpuSecondsPerStep: median(mine.map(({ cpu }) => cpu)),
      peakBytes: median(peaks[0]),
      compileSeconds: median(compileSeconds),
    },
    theirs: { samplesPerSecond: median(yours.map(({ rate }) => rate)), peakBytes: median(peaks[1]) },
    speedRatio: median(mine.map(({ rate }, i) => rate / yours[i]!.rate)),
    cpuRatio: median(mine.map(({ cpu }, i) => yours[i]!.cpu / cpu)),
    thirdRatio: median(thirdRates.map((rate, i) => mine[i]!.rate / rate)),
    lossDifference,
  };
}

/**
 * The model file that both sides read. It is made in a process of its own, so that its memory counts for
 * neither.
 */
function fileOf(key: string): string {
  const file = join(folder, `${key}.onnx`);
  if (!existsSync(file)) writeFileSync(file, { ...workloads, ...depths }[key]!.model());
  return file;
}

const startOurs = (key: string, engine = "onnxruntime") =>
  startContender(process.execPath, ["--expose-gc", worker, key, String(threads), fileOf(key), engine]);

/**
 * With V8's nursery, its compiler threads and libuv's pool as small as possible: each retains the memory of
 * its first use, at any time in the first thousand steps, which would look like a leak.
 */
const startLean = (key: string) =>
  startContender(
    process.execPath,
    ["--expose-gc", "--max-semi-space-size=1", "--v8-pool-size=0", worker, key, String(threads), fileOf(key)],
    {
      UV_THREADPOOL_SIZE: "1",
    },
  );

/** The peer uses channels_last if that is faster in a trial of a few steps, as PyTorch's users would. */
async function layoutOf(
  start: (layout: string) => Promise<Contender>,
  { sample }: Workload,
): Promise<string> {
  if (sample.length !== 3) return "contiguous";
  const tried: { layout: string; seconds: number }[] = [];
  for (const layout of ["channels_last", "contiguous"]) {
    const contender = await start(layout);
    await contender.run(1);
    const seconds = Math.min((await contender.run(2)).seconds, (await contender.run(2)).seconds);
    await contender.stop();
    tried.push({ layout, seconds });
  }
  return tried.reduce((best, one) => (one.seconds < best.seconds ? one : best)).layout;
}

/**
 * @param python runs the peer; without it a workload is compared with tfjs if that is not too slow, or
 *   measured alone
 */
async function measure(key: string, workload: Workload, python?: string): Promise<Row> {
  const start = (engine: string) => startOurs(key, engine);
  const row = {
    key,
    workload: workload.name,
    samplesPerSecond: 0,
    cpuSecondsPerStep: 0,
    peakBytes: 0,
    compileSeconds: 0,
    engine: "",
  };
  const ours = () => start("onnxruntime");
  if (python) {
    const peerIn = (layout: string, rows = "all") =>
      startContender(python, [
        peer,
        fileOf(key),
        String(threads),
        String(workload.batch),
        workload.sample.join(),
        layout,
        rows,
      ]);
    const layout = await layoutOf(peerIn, workload);
    const d = await duel(
      { ours, theirs: () => peerIn(layout), third: () => peerIn(layout, "retained") },
      workload.batch,
    );
    return {
      ...row,
      ...d.ours,
      engine: d.engines.ours,
      peer: {
        engine: d.engines.theirs,
        layout,
        ...d.theirs,
        speedRatio: d.speedRatio,
        cpuRatio: d.cpuRatio,
        memoryRatio: d.ours.peakBytes / d.theirs.peakBytes,
        lossDifference: d.lossDifference,
        retainedSpeedRatio: d.thirdRatio,
      },
    };
  }
  if (workload.tfjs) {
    const d = await duel({ ours, theirs: () => start("cpu") }, workload.batch);
    return {
      ...row,
      ...d.ours,
      engine: d.engines.ours,
      tfjs: { samplesPerSecond: d.theirs.samplesPerSecond, speedRatio: d.speedRatio },
    };
  }
  const alone = await ours();
  const steps = await calibrate(alone);
  const runs: Measured[] = [];
  for (let i = 0; i < Number(values.launches) * pairs; i++) runs.push(await alone.run(steps));
  await alone.stop();
  return {
    ...row,
    samplesPerSecond: median(runs.map((m) => (steps * workload.batch) / m.seconds)),
    cpuSecondsPerStep: median(runs.map((m) => m.cpuSeconds / steps)),
    peakBytes: runs.at(-1)!.peakBytes,
    compileSeconds: alone.hello.compileSeconds ?? 0,
    engine: alone.hello.engine,
  };
}

const asked = values.only?.split(",") ?? [
  ...Object.keys(workloads),
  "checks",
  ...(values.job ? ["job"] : []),
];
const wanted = asked.filter((name) => name !== "checks" && name !== "job");
const folder = mkdtempSync(join(tmpdir(), "onnx-unlearn-bench-"));
const rows: Row[] = [];
let job: Awaited<ReturnType<typeof wholeJob>> | undefined;
let checks: readonly Check[] = [];
const before = loadavg()[0]!;
const rate = await matmulRate(threads);
try {
  for (const key of wanted) {
    const workload = workloads[key];
    if (!workload)
      throw new Error(`no workload "${key}"; there are ${Object.keys(workloads).join(", ")}, checks, job`);
    const row = await measure(key, workload, values.peer);
    rows.push(row);
    console.error(
      `${row.workload}: ${row.samplesPerSecond.toFixed(0)} samples/s${row.peer ? `, ${row.peer.speedRatio.toFixed(2)} × PyTorch` : ""}`,
    );
  }
  if (asked.includes("checks")) {
    const resnet18 =
      rows.find(({ key }) => key === "resnet18") ?? (await measure("resnet18", workloads["resnet18"]!));
    checks = await runChecks(startOurs, startLean, { ...resnet18, matmulFlopsPerSecond: rate });
  }
  if (values.job && asked.includes("job"))
    job = await wholeJob(values.job, folder, {
      threads,
      epochs: Number(values.epochs),
      runs: Number(values.jobs),
      peer: values.peer,
    });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const megabytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MB`;
const head = [
  "workload",
  "samples/s",
  "other",
  "samples/s",
  "ours / other",
  "its second pass short",
  "CPU time",
  "peak memory",
  "compile",
];
const lines = rows.map((row) => {
  const other = row.peer ?? row.tfjs;
  return [
    row.workload,
    row.samplesPerSecond.toFixed(0),
    row.peer ? `${row.peer.engine} ${row.peer.layout}` : row.tfjs ? "tfjs cpu" : "",
    other?.samplesPerSecond.toFixed(row.peer ? 0 : 2) ?? "",
    other?.speedRatio.toFixed(2) ?? "",
    row.peer?.retainedSpeedRatio.toFixed(2) ?? "",
    row.peer?.cpuRatio.toFixed(2) ?? "",
    row.peer ? `${megabytes(row.peakBytes)} / ${megabytes(row.peer.peakBytes)}` : megabytes(row.peakBytes),
    `${row.compileSeconds.toFixed(2)} s`,
  ];
});
if (job) {
  const { ours, theirs, third } = job;
  lines.push([
    `whole job, ${values.epochs} epochs: ${ours.seconds.toFixed(0)} s`,
    "",
    theirs ? `Python: ${theirs.seconds.toFixed(0)} s` : "",
    "",
    theirs ? (theirs.seconds / ours.seconds).toFixed(2) : "",
    third ? (third.seconds / ours.seconds).toFixed(2) : "",
    "",
    theirs ? `${megabytes(ours.peakBytes)} / ${megabytes(theirs.peakBytes)}` : megabytes(ours.peakBytes),
    "",
  ]);
}
const table = new Table({ head, style: { head: [], border: [] } });
table.push(...lines);
console.log(table.toString());
const checkHead = ["check", "measured", "wanted", ""];
if (checks.length > 0) {
  const second = new Table({ head: checkHead, style: { head: [], border: [] } });
  second.push(...checks.map((one) => [...checkCells(one)]));
  console.log(second.toString());
}
const loads = [before, loadavg()[0]!].map((load) => load.toFixed(1));
const footnote = `${cpus()[0]?.model.trim()}, ${threads} thread${threads === 1 ? "" : "s"}; 1024³ MatMul in ONNX Runtime ${(rate / 1e9).toFixed(0)} GFLOP/s; load average ${loads[0]} before and ${loads[1]} after${Number(loads[0]) > threads ? ": a busy machine, read the ratios with care" : ""}.`;
console.log(footnote);
const versions = JSON.parse(readFileSync("package.json", "utf8")) as { readonly version: string };
const document = {
  version: versions.version,
  node: process.version,
  machine: { cpu: cpus()[0]?.model.trim(), cores: cpus().length, memoryBytes: totalmem(), threads },
  // The load of the machine, as a busy machine makes the figures noisy.
  loadAverage: { before, after: loadavg()[0] },
  matmulFlopsPerSecond: rate,
  launches: Number(values.launches),
  pairs,
  rows,
  checks,
  job: job && {
    ours: job.ours,
    theirs: job.theirs,
    third: job.third,
  },
};
mkdirSync("bench/results", { recursive: true });
writeFileSync(values.out, `${JSON.stringify(document, null, 2)}\n`);
const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
const markdown = (names: readonly string[], cells: readonly (readonly string[])[]) =>
  [row(names), row(names.map(() => "---")), ...cells.map(row)].join("\n");
const tables = [
  markdown(head, lines),
  ...(checks.length > 0 ? [markdown(checkHead, checks.map(checkCells))] : []),
];
const notes = values.peer ? [SECOND_PASS, footnote] : [footnote];
writeFileSync(values.out.replace(/\.json$/, ".md"), `${[...tables, ...notes].join("\n\n")}\n`);
console.log(`written to ${values.out}`);
