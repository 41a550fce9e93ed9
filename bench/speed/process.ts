import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";

export interface Measured {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number;
  readonly residentBytes: number;
  readonly losses: readonly number[];
}

/** A worker or peer process that answers each line on its stdin with one line of JSON. */
export interface Contender {
  readonly hello: { readonly engine: string; readonly compileSeconds?: number };
  run(steps: number): Promise<Measured>;
  stop(): Promise<void>;
}

export async function startContender(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Contender> {
  const child: ChildProcessWithoutNullStreams = spawn(command, [...args], {
    env: { ...process.env, ...environment },
  });
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-2000);
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<never> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${command} ${args.join(" ")} stopped: ${errors}`);
    return JSON.parse(value as string) as never;
  };
  const exited = new Promise<void>((resolve) => {
    child.on("close", () => resolve());
  });
  const hello: Contender["hello"] = await next();
  return {
    hello,
    async run(steps) {
      child.stdin.write(`${steps}\n`);
      return next();
    },
    async stop() {
      child.stdin.end();
      await exited;
    },
  };
}
