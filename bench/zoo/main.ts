// npm run zoo -- FOLDER [--only TEXT] [--resume] [--timeout SECONDS]
// Tries to import and train every .onnx file below a folder, or checks the reason of its refusal.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { judge, type Verdict } from "./judge.ts";
import { markdown, summary } from "./table.ts";

const OUTPUT = "bench/results/zoo.md";
/** Rows of finished files, so that an interrupted run can resume; not committed. */
const STATE = "build/zoo-rows.json";
const MARK = "zoo-verdict:";

export interface Row extends Verdict {
  readonly file: string;
  readonly seconds: number;
}

/** One file in a process of its own: a crash, an endless loop or a memory hog costs one row. */
function judgeApart(path: string, seconds: number, megabytes: number): Promise<Verdict> {
  return new Promise((resolve) => {
    const self = fileURLToPath(import.meta.url);
    const child = spawn(process.execPath, [`--max-old-space-size=${megabytes}`, self, "--judge", path], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let out = "";
    let err = "";
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, seconds * 1000);
    child.stdout.on("data", (chunk) => {
      out += chunk;
    });
    child.stderr.on("data", (chunk) => {
      err += chunk;
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      const line = out.split("\n").find((l) => l.startsWith(MARK));
      if (line) return resolve(JSON.parse(line.slice(MARK.length)));
      const why = late
        ? `no verdict after ${seconds} s`
        : `the process ended with ${signal ?? `exit code ${code}`}: ${err.trim().split("\n").slice(-3).join(" ")}`;
      resolve({ verdict: "failed", reason: why });
    });
  });
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    judge: { type: "string" },
    only: { type: "string" },
    resume: { type: "boolean" },
    timeout: { type: "string", default: "240" },
    memory: { type: "string", default: "3000" },
  },
});

if (values.judge !== undefined) {
  const verdict = await judge(values.judge);
  process.stdout.write(`\n${MARK}${JSON.stringify(verdict)}\n`, () => process.exit(0));
} else {
  const [folder] = positionals;
  if (!folder || !existsSync(folder) || !statSync(folder).isDirectory()) {
    console.error("Give the folder that holds the .onnx files.");
    process.exit(2);
  }
  const files = readdirSync(folder, { recursive: true })
    .map(String)
    .filter((name) => /\.(onnx|ort)$/.test(name) && (!values.only || name.includes(values.only)))
    .sort();
  mkdirSync("build", { recursive: true });
  const done: Record<string, Row> =
    values.resume && existsSync(STATE) ? JSON.parse(readFileSync(STATE, "utf8")) : {};
  for (const [index, file] of files.entries()) {
    if (done[file]) continue;
    const started = performance.now();
    const verdict = await judgeApart(join(folder, file), Number(values.timeout), Number(values.memory));
    const row: Row = { file, ...verdict, seconds: (performance.now() - started) / 1000 };
    done[file] = row;
    writeFileSync(STATE, JSON.stringify(done));
    console.log(
      `${index + 1}/${files.length} ${row.verdict} ${file} ${row.seconds.toFixed(1)} s ${row.code ?? ""} ${row.reason ?? ""}`.trimEnd(),
    );
  }
  // The folder differs from machine to machine, so it is removed from the reasons.
  const rows = files.map((file): Row => {
    const row = done[file]!;
    return row.reason ? { ...row, reason: row.reason.replaceAll(join(folder, "/"), "") } : row;
  });
  console.log(summary(rows));
  if (!values.only) {
    mkdirSync("bench/results", { recursive: true });
    writeFileSync(OUTPUT, markdown(rows));
    console.log(`written to ${OUTPUT}`);
  }
}
