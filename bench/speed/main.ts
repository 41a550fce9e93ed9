// npm run bench [-- --peer PYTHON] [--only NAME,NAME] [--threads N] [--pairs N] [--seconds S] [--job FOLDER] [--epochs N]
// Training steps side by side with tfjs `cpu` and, given a Python with torch and onnx, with PyTorch: interleaved runs in two
// processes, median of the ratios of 7 pairs of 2 seconds each. --job runs the whole job on the models and data of a folder too.
// NAME is a workload, `checks` or `job`. Everything takes some ten minutes on two cores. Writes bench/results/speed.json and .md.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import Table from "cli-table3";
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
    pairs: { type: "string", default: "7" },
    seconds: { type: "string", default: "2" },
    job: { type: "string" },
    epochs: { type: "string", default: "3" },
    out: { type: "string", default: "bench/results/speed.json" },
  },
});
const threads = Number(values.threads);
const pairs = Number(values.pairs);
const worker = join(import.meta.dirname, "worker.js");
const peer = "bench/peers/pytorch.py";

/** Warms up and finds how many steps fill the wished time: whole rounds of a frozen prefix and the steps that share it. */
async function calibrate(contender: Contender): Promise<number> {
  await contender.run(2);
  const { seconds } = await contender.run(1);
  return EPOCHS * Math.max(1, Math.round(Number(values.seconds) / seconds / EPOCHS));
}

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
  };
  readonly tfjs?: { readonly samplesPerSecond: number; readonly speedRatio: number };
}

/** Interleaved: ours, theirs, ours, theirs …; the first losses are compared before the weights have drifted apart. */
async function duel(ours: Contender, theirs: Contender, batch: number) {
  const first = [await ours.run(1), await theirs.run(1)] as const;
  const lossDifference = Math.max(
    ...first[0].losses.map(
      (loss, i) => Math.abs(loss - first[1].losses[i]!) / Math.max(1e-3, Math.abs(loss)),
    ),
  );
  const steps = [await calibrate(ours), await calibrate(theirs)] as const;
  const [mine, yours]: [Measured[], Measured[]] = [[], []];
  for (let pair = 0; pair < pairs; pair++) {
    mine.push(await ours.run(steps[0]));
    yours.push(await theirs.run(steps[1]));
  }
  const rate = (m: Measured, k: number) => (k * batch) / m.seconds;
  const cpu = (m: Measured, k: number) => m.cpuSeconds / k;
  return {
    ours: {
      samplesPerSecond: median(mine.map((m) => rate(m, steps[0]))),
      cpuSecondsPerStep: median(mine.map((m) => cpu(m, steps[0]))),
      peakBytes: mine.at(-1)!.peakBytes,
    },
    theirs: {
      samplesPerSecond: median(yours.map((m) => rate(m, steps[1]))),
      peakBytes: yours.at(-1)!.peakBytes,
    },
    speedRatio: median(mine.map((m, i) => rate(m, steps[0]) / rate(yours[i]!, steps[1]))),
    cpuRatio: median(mine.map((m, i) => cpu(yours[i]!, steps[1]) / cpu(m, steps[0]))),
    lossDifference,
  };
}

/** The model file that we and the peer read: whoever made the weights in its own process would pay for that in memory. */
function fileOf(key: string): string {
  const file = join(folder, `${key}.onnx`);
  if (!existsSync(file)) writeFileSync(file, { ...workloads, ...depths }[key]!.model());
  return file;
}

const startOurs = (key: string, engine = "onnxruntime") =>
  startContender(process.execPath, ["--expose-gc", worker, key, String(threads), fileOf(key), engine]);

/**
 * With V8's nursery, its compiler threads and libuv's pool as small as they get: each keeps the memory of its first use, which comes at any time in the
 * first thousand steps and is no leak of theirs.
 */
const startLean = (key: string) =>
  startContender(
    process.execPath,
    ["--expose-gc", "--max-semi-space-size=1", "--v8-pool-size=0", worker, key, String(threads), fileOf(key)],
    {
      UV_THREADPOOL_SIZE: "1",
    },
  );

/** PyTorch's users take channels_last where that is faster: so does the peer, after a trial of a few steps. */
async function startPeer(python: string, file: string, { sample, batch }: Workload) {
  const started: { layout: string; contender: Contender; seconds: number }[] = [];
  for (const layout of sample.length === 3 ? ["channels_last", "contiguous"] : ["contiguous"]) {
    const args = [peer, file, String(threads), String(batch), sample.join(), layout];
    const contender = await startContender(python, args);
    started.push({ layout, contender, seconds: 0 });
  }
  if (started.length > 1)
    for (const one of started) {
      await one.contender.run(1);
      one.seconds = Math.min((await one.contender.run(2)).seconds, (await one.contender.run(2)).seconds);
      await one.contender.stop();
    }
  const { layout } = started.reduce((best, one) => (one.seconds < best.seconds ? one : best));
  // Anew: the trial has moved the weights.
  const args = [peer, file, String(threads), String(batch), sample.join(), layout];
  const contender = started.length > 1 ? await startContender(python, args) : started[0]!.contender;
  return { layout, contender };
}

/** @param python runs the peer; without one a workload is measured beside tfjs, where that is bearable, or alone */
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
  /** Both in turns; the row's figures are ours. */
  const beside = async (theirs: Contender) => {
    const ours = await start("onnxruntime");
    const d = await duel(ours, theirs, workload.batch);
    await ours.stop();
    await theirs.stop();
    const { compileSeconds = 0, engine } = ours.hello;
    return { d, row: { ...row, ...d.ours, compileSeconds, engine } };
  };
  if (python) {
    const { layout, contender } = await startPeer(python, fileOf(key), workload);
    const { d, row } = await beside(contender);
    return {
      ...row,
      peer: {
        engine: contender.hello.engine,
        layout,
        ...d.theirs,
        speedRatio: d.speedRatio,
        cpuRatio: d.cpuRatio,
        memoryRatio: d.ours.peakBytes / d.theirs.peakBytes,
        lossDifference: d.lossDifference,
      },
    };
  }
  if (workload.tfjs) {
    const { d, row } = await beside(await start("cpu"));
    return { ...row, tfjs: { samplesPerSecond: d.theirs.samplesPerSecond, speedRatio: d.speedRatio } };
  }
  const ours = await start("onnxruntime");
  const steps = await calibrate(ours);
  const runs: Measured[] = [];
  for (let i = 0; i < pairs; i++) runs.push(await ours.run(steps));
  await ours.stop();
  return {
    ...row,
    samplesPerSecond: median(runs.map((m) => (steps * workload.batch) / m.seconds)),
    cpuSecondsPerStep: median(runs.map((m) => m.cpuSeconds / steps)),
    peakBytes: runs.at(-1)!.peakBytes,
    compileSeconds: ours.hello.compileSeconds ?? 0,
    engine: ours.hello.engine,
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
    job = await wholeJob(values.job, folder, { threads, epochs: Number(values.epochs), peer: values.peer });
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
    row.peer?.cpuRatio.toFixed(2) ?? "",
    row.peer ? `${megabytes(row.peakBytes)} / ${megabytes(row.peer.peakBytes)}` : megabytes(row.peakBytes),
    `${row.compileSeconds.toFixed(2)} s`,
  ];
});
if (job) {
  const { ours, theirs } = job;
  lines.push([
    `whole job, ${values.epochs} epochs: ${ours.seconds.toFixed(0)} s`,
    "",
    theirs ? `Python: ${theirs.seconds.toFixed(0)} s` : "",
    "",
    theirs ? (theirs.seconds / ours.seconds).toFixed(2) : "",
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
  // A busy machine makes the figures noisy: read them with this.
  loadAverage: { before, after: loadavg()[0] },
  matmulFlopsPerSecond: rate,
  pairs,
  rows,
  checks,
  job: job && {
    ours: { seconds: job.ours.seconds, peakBytes: job.ours.peakBytes },
    theirs: job.theirs && { seconds: job.theirs.seconds, peakBytes: job.theirs.peakBytes },
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
writeFileSync(values.out.replace(/\.json$/, ".md"), `${[...tables, footnote].join("\n\n")}\n`);
console.log(`written to ${values.out}`);
