import { readFileSync } from "node:fs";
import { badInput } from "../../converters/errors.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import { verifyStructure } from "../verify/verify.ts";
import type { Io } from "./main.ts";

function reportedTensors(path: string): string[] {
  try {
    const names = (JSON.parse(readFileSync(path, "utf8")) as { export?: { changedTensors?: unknown } }).export
      ?.changedTensors;
    if (Array.isArray(names)) return names as string[];
  } catch {
    // Falls through to the sentence below.
  }
  throw badInput(
    "REPORT_INVALID",
    `${path} is not a report of onnx-unlearn unlearn (no export.changedTensors); give the file written by --report.`,
  );
}

/** `onnx-unlearn verify`: lists the changed tensors, or checks that exactly the reported ones changed (exit 4 otherwise). */
export async function verifyCommand(
  after: string,
  { before, report, json }: { before: string; report?: string; json?: boolean },
  io: Io,
): Promise<void> {
  const intended = report === undefined ? undefined : reportedTensors(report);
  const changedTensors = verifyStructure(loadModelFile(before), loadModelFile(after), intended);
  if (json) {
    io.out(`${JSON.stringify({ verified: true, changedTensors })}\n`);
    return;
  }
  io.out(`${changedTensors.length} tensors changed; everything else is identical.\n`);
  for (const t of changedTensors)
    io.out(`${t.name} ${t.dtype}: ${t.changedElements} of ${t.elements} elements\n`);
}
