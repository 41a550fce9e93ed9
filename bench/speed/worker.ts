// One process per workload, so that its peak memory is its own. Each line on stdin is a number of steps to
// run; each line on stdout reports what they took.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { EngineName, NumberArray } from "../../src/engine/engine.ts";
import { getEngine } from "../../src/engine/index.ts";
import { openPrefix } from "../../src/prepare/frozen-prefix.ts";
import { ofClasses } from "../../src/tasks/classification.ts";
import type { Method } from "../../src/unlearn/types.ts";
import { syntheticBatch } from "./batch.ts";
import { jobOf } from "./job.ts";
import { depths, EPOCHS, workloads } from "./workloads.ts";

const [key, threads, file, engineName = "onnxruntime", method = "eupmu"] = process.argv.slice(2);
const workload = { ...workloads, ...depths }[key!]!;
/**
 * A separate function, so that the model file and the initial values can be garbage-collected once the engine
 * has copied them.
 */
async function prepare() {
  const { model, step, carry, batchSpecs } = jobOf(workload, file!, method as Method);
  const engine = await getEngine(engineName as EngineName);
  const runner = await engine.prepare(step, carry, batchSpecs, { threads: Number(threads) });
  const prefix = model.frontier.length > 0 ? await openPrefix(model, Number(threads)) : undefined;
  return { runner, prefix, version: engine.version };
}
const { runner, prefix, version } = await prepare();
const given = syntheticBatch(workload.batch, workload.sample, 10);
let batch: Record<string, NumberArray> = given;
let taken = 0;

/** A real run computes a frozen prefix once per sample: here once in as many steps as the run has epochs. */
async function step(): Promise<Record<string, NumberArray>> {
  if (prefix && taken++ % EPOCHS === 0) {
    const input = {
      data: given["x:input"] as Float32Array,
      dims: [workload.batch, ...workload.sample],
    };
    const set = { path: "", ...ofClasses(new Int32Array(workload.batch)), inputs: { input } };
    const { inputs } = await prefix.compute(set);
    batch = { ...given };
    for (const [name, { data }] of Object.entries(inputs)) batch[`x:${name}`] = data;
  }
  return runner.run(batch);
}

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
  for (let i = 0; i < steps; i++) losses = await step();
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  // Memory that JavaScript has not collected yet, or returns to the system seconds later, is not a leak. Code
  // that ran only before the first step is collected after several collections.
  for (let i = 0; i < 6; i++) globalThis.gc?.();
  const { rss, heapTotal, heapUsed } = process.memoryUsage();
  say({
    seconds,
    cpuSeconds: (user + system) / 1e6,
    peakBytes: peakBytes(),
    residentBytes: rss - (heapTotal - heapUsed),
    losses: ["forgetLoss", "retainLoss", "lambda"].map((name) => losses[name]?.[0]),
  });
}
await runner.dispose();
await prefix?.release();
