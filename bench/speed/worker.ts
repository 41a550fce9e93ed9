// One process per workload, so that its peak memory is its own. Each line on stdin is a number of steps to run;
// each line on stdout answers with what they took.
import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TensorSpec } from "../../converters/compile/step.ts";
import { importModel } from "../../converters/import/graph.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import type { EngineName, NumberArray } from "../../src/engine/engine.ts";
import { getEngine } from "../../src/engine/index.ts";
import { methods } from "../../src/unlearn/methods/index.ts";
import type { Method } from "../../src/unlearn/types.ts";
import { syntheticBatch } from "./batch.ts";
import { workloads } from "./workloads.ts";

const [key, threads, engineName = "onnxruntime", methodName = "eupmu"] = process.argv.slice(2);
const workload = workloads[key!]!;
const file = join(tmpdir(), `onnx-unlearn-bench-${process.pid}.onnx`);
writeFileSync(file, workload.model());
const model = importModel(loadModelFile(file), workload.train ? { train: workload.train } : {});
const parameters = model.parameters.filter(({ trainable }) => trainable);
const method = methods[methodName as Method];
const options = { dual: "adam", beta: 1, momentum: 0.9, weightDecay: 5e-4 } as const;

const float = (shape: readonly number[]): TensorSpec => ({ shape, dtype: "float32" });
const carry: Record<string, { spec: TensorSpec; data: NumberArray }> = {};
for (const { name, dims, data } of parameters) {
  carry[`p:${name}`] = { spec: float(dims), data };
  carry[`v:${name}`] = { spec: float(dims), data: new Float32Array(data.length) };
}
for (const [name, value] of Object.entries(method.dual(options)))
  carry[`dual:${name}`] = { spec: float([]), data: Float32Array.of(value) };
const n = workload.batch;
const engine = await getEngine(engineName as EngineName);
const runner = await engine.prepare(
  method.step({ apply: model.apply, trainable: parameters.map(({ name }) => name), options }),
  carry,
  {
    "x:input": float([n, ...workload.sample]),
    labels: { shape: [n], dtype: "int32" },
    forgetMask: float([n]),
    retainMask: float([n]),
    lr: float([]),
    epsilon: float([]),
  },
  { threads: Number(threads) },
);
const batch = syntheticBatch(n, workload.sample, 10);

/** High-water mark of the resident set, in bytes. */
function peakBytes(): number {
  try {
    const line = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"));
    if (line) return Number(line[1]) * 1024;
  } catch {}
  return process.resourceUsage().maxRSS * 1024;
}
const say = (answer: object) => process.stdout.write(`${JSON.stringify(answer)}\n`);

say({ engine: engine.version, compileSeconds: runner.compileSeconds });
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
