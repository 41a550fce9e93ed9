import { spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

export interface WholeJob {
  readonly seconds: number;
  /** Peak resident set size in bytes; 0 where /proc is not available. */
  readonly peakBytes: number;
}

/** Runs a program to its end and measures its memory from outside. */
async function watched(command: string, args: readonly string[]): Promise<WholeJob> {
  const started = performance.now();
  const child = spawn(command, [...args], { stdio: ["ignore", "ignore", "pipe"] });
  let [stderr, peakBytes] = ["", 0];
  child.stderr.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-2000);
  });
  const look = () => {
    try {
      const line = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"));
      if (line) peakBytes = Math.max(peakBytes, Number(line[1]) * 1024);
    } catch {}
  };
  const timer = setInterval(look, 100);
  const code = await new Promise<number | null>((resolve) => {
    child.on("close", resolve);
  });
  clearInterval(timer);
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with exit code ${code}: ${stderr}`);
  return { seconds: (performance.now() - started) / 1000, peakBytes };
}

/** Over several runs: mean seconds, peak memory. */
const together = (runs: readonly WholeJob[]): WholeJob => ({
  seconds: runs.reduce((sum, { seconds }) => sum + seconds, 0) / runs.length,
  peakBytes: Math.max(...runs.map(({ peakBytes }) => peakBytes)),
});

/**
 * Load, train, export, evaluate both files: this program and, if there is a Python with PyTorch, the same job
 * there. Runs alternate (ours, theirs, theirs, ours …), so a machine that slows down affects both alike. The
 * third job is the peer with a second forward pass over retained rows alone.
 * @param shared holds models/cifar-resnet20.onnx and data/cifar10-{forget,retain,test}.npz
 */
export async function wholeJob(
  shared: string,
  folder: string,
  {
    threads,
    epochs,
    runs,
    peer,
  }: { threads: number; epochs: number; runs: number; peer?: string | undefined },
): Promise<{ readonly ours: WholeJob; readonly theirs?: WholeJob; readonly third?: WholeJob }> {
  const model = join(shared, "models/cifar-resnet20.onnx");
  const [forget, retain, test] = ["forget", "retain", "test"].map((name) =>
    join(shared, `data/cifar10-${name}.npz`),
  ) as [string, string, string];
  const flags = {
    model,
    forget,
    retain,
    test,
    scale: 255,
    mean: "0.4914,0.4822,0.4465",
    std: "0.2470,0.2435,0.2616",
    lr: 0.003,
    epsilon: -0.01,
    epochs,
    threads,
    out: join(folder, "ours.onnx"),
  };
  const program = () => {
    rmSync(flags.out, { force: true });
    return watched(process.execPath, [
      join(import.meta.dirname, "../../src/cli/main.js"),
      "unlearn",
      ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, `${value}`]),
      "--json",
    ]);
  };
  const out = join(folder, "theirs.onnx");
  const python = (rows: "all" | "retained") =>
    watched(peer!, [
      "bench/peers/whole_job.py",
      ...[model, forget, retain, test, out, `${threads}`, `${epochs}`, rows],
    ]);
  const [ours, theirs, third]: [WholeJob[], WholeJob[], WholeJob[]] = [[], [], []];
  for (let run = 0; run < runs; run++) {
    const turns = [async () => ours.push(await program())];
    if (peer !== undefined)
      turns.push(
        async () => theirs.push(await python("all")),
        async () => third.push(await python("retained")),
      );
    for (const turn of run % 2 === 0 ? turns : turns.reverse()) await turn();
  }
  return {
    ours: together(ours),
    ...(peer === undefined ? {} : { theirs: together(theirs), third: together(third) }),
  };
}
