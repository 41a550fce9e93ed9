import { existsSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import Table from "cli-table3";
import { badInput } from "../../converters/errors.ts";
import type { EngineName } from "../engine/engine.ts";
import type { Method } from "../unlearn/types.ts";
import { unlearn } from "../unlearn.ts";
import type { Io } from "./main.ts";

export interface UnlearnFlags {
  readonly model: string;
  readonly forget: string;
  readonly retain: string;
  readonly test?: string;
  readonly out: string;
  readonly method: Method;
  readonly epsilon: number;
  readonly dual: "adam" | "ascent";
  readonly epochs: number;
  readonly lr: number;
  readonly batchSize: number;
  readonly seed: number;
  readonly threads?: number;
  readonly train: readonly string[];
  readonly freeze: readonly string[];
  readonly logits?: string;
  readonly engine: EngineName;
  readonly report?: string;
  readonly allowOverlap?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly scale: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

const percent = (share: number | null) => (share === null ? "–" : `${(share * 100).toFixed(2)} %`);

/** `onnx-unlearn unlearn`: runs the road and prints the before/after table, or the report as one JSON document. */
export async function unlearnCommand(flags: UnlearnFlags, io: Io): Promise<void> {
  const { model, forget, retain, test, out, train, freeze, logits, report, json, force, allowOverlap } =
    flags;
  const { method, epsilon, dual, epochs, lr, batchSize, seed, threads, engine, scale, mean, std } = flags;
  if (report && !existsSync(dirname(resolve(report))))
    throw badInput(
      "REPORT_FOLDER",
      `There is no folder ${dirname(resolve(report))} to write the report into; create it first.`,
    );
  let told = 0;
  const document = await unlearn(
    {
      model,
      forget,
      retain,
      out,
      train,
      freeze,
      force: force ?? false,
      allowOverlap: allowOverlap ?? false,
      preprocessing: { scale, mean, std },
      options: {
        method,
        epsilon,
        dual,
        epochs,
        lr,
        batchSize,
        seed,
        engine,
        ...(threads === undefined ? {} : { threads }),
      },
      ...(test === undefined ? {} : { test }),
      ...(logits === undefined ? {} : { logits }),
    },
    (p) => {
      const tenths = Math.floor((10 * p.step) / p.steps);
      if (tenths > told && !json) {
        told = tenths;
        io.err(
          `step ${p.step} of ${p.steps}: forget loss ${p.entry.forgetLoss?.toFixed(4) ?? "–"}, retain loss ${p.entry.retainLoss?.toFixed(4) ?? "–"}, λ ${p.entry.lambda.toFixed(3)}\n`,
        );
      }
    },
    io.signal,
  );
  if (report) writeFileSync(report, `${JSON.stringify(document, null, 2)}\n`);
  if (json) {
    io.out(`${JSON.stringify(document)}\n`);
    return;
  }
  const table = new Table({ head: ["accuracy", "before", "after"], style: { head: [], border: [] } });
  for (const [name, key] of [
    ["forget", "forgetAccuracy"],
    ["retain", "retainAccuracy"],
    ["test", "testAccuracy"],
  ] as const)
    table.push([name, percent(document.before[key]), percent(document.after[key])]);
  io.out(`${table.toString()}\n`);
  const { changedTensors, changedBytes, parity } = document.export;
  io.out(
    `${out}: ${changedTensors.length} tensors changed (${changedBytes} bytes), largest deviation from the trained graph ${parity.maxAbsDiff ?? "not measured"} on ${parity.samples} samples; ${document.timing.samplesPerSecond.toFixed(0)} samples/s.\n`,
  );
}
