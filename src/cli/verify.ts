import { readFileSync } from "node:fs";
import { badInput } from "../../converters/errors.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import { verifyBytes, verifyLoads, verifyStructure } from "../verify/verify.ts";
import type { Io } from "./main.ts";

interface Reported {
  readonly changedTensors: readonly string[];
  readonly before: string;
  readonly after: string;
}

function readReport(path: string): Reported {
  try {
    const { export: exported, model } = JSON.parse(readFileSync(path, "utf8"));
    const [before, after] = [model.before.sha256, model.after.sha256];
    if (Array.isArray(exported.changedTensors) && typeof before === "string" && typeof after === "string")
      return { changedTensors: exported.changedTensors, before, after };
  } catch {
    // Falls through to the sentence below.
  }
  throw badInput(
    "REPORT_INVALID",
    `${path} is not a report of onnx-unlearn unlearn; give the file written by --report.`,
  );
}

/** `onnx-unlearn verify`: lists the changed tensors, or checks that exactly the reported ones changed (exit 4 otherwise). */
export async function verifyCommand(
  after: string,
  { before, report, json }: { before: string; report?: string; json?: boolean },
  io: Io,
): Promise<void> {
  const reported = report === undefined ? undefined : readReport(report);
  const source = loadModelFile(before);
  const changed = await verifyLoads(after);
  const changedTensors = verifyStructure(source, changed, reported?.changedTensors);
  if (reported) {
    verifyBytes(before, source.bytes, reported.before);
    verifyBytes(after, changed.bytes, reported.after);
  }
  if (json) {
    io.out(`${JSON.stringify({ verified: true, changedTensors })}\n`);
    return;
  }
  io.out(`${changedTensors.length} tensors changed; everything else is identical.\n`);
  for (const t of changedTensors)
    io.out(`${t.name} ${t.dtype}: ${t.changedElements} of ${t.elements} elements\n`);
}
