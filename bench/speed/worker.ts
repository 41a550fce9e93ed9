// One process per workload, so that its peak memory is its own. Each line on stdin is a number of steps to run;
// each line on stdout answers with what they took.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { EngineName, NumberArray } from "../../src/engine/engine.ts";
import { getEngine } from "../../src/engine/index.ts";
import type { Method } from "../../src/unlearn/types.ts";
import { syntheticBatch } from "./batch.ts";
import { jobOf } from "./job.ts";
import { workloads } from "./workloads.ts";

const [key, threads, engineName = "onnxruntime", method = "eupmu"] = process.argv.slice(2);
const workload = workloads[key!]!;
/** In a function of its own, so that nobody keeps the model file and the start values once the engine has its copies. */
async function prepare() {
  const { step, carry, batchSpecs } = jobOf(workload, method as Method);
  const engine = await getEngine(engineName as EngineName);
  const runner = await engine.prepare(step, carry, batchSpecs, { threads: Number(threads) });
  return { runner, version: engine.version };
}
const { runner, version } = await prepare();
const batch = syntheticBatch(workload.batch, workload.sample, 10);

/** High-water mark of the resident set, in bytes. */
function peakBytes(): number {
  try {
    const line = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"));
    if (line) return Number(line[1]) * 1024;
  } catch {}
  return process.resourceUsage().maxRSS * 1024;
}
const say = (answer: object) => process.stdout.write(`${JSON.stringify(answer)}\n`);

say({ engine: version, compileSeconds: runner.compileSeconds });
for await (const line of createInterface({ input: process.stdin })) {
  const steps = Number(line);
  const [cpu, started] = [process.cpuUsage(), performance.now()];
  let losses: Record<string, NumberArray> = {};
  for (let i = 0; i < steps; i++) losses = await runner.run(batch);
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  say({
    seconds,
    cpuSeconds: (user + system) / 1e6,
    peakBytes: peakBytes(),
    residentBytes: process.memoryUsage().rss,
    losses: ["forgetLoss", "retainLoss", "lambda"].map((name) => losses[name]?.[0]),
  });
}
await runner.dispose();
