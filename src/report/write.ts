import { basename, join } from "node:path";
import type { Output } from "../../converters/export/outputs.ts";
import { writeWhole } from "../../converters/export/whole.ts";
import type { BudgetError } from "../case/guard.ts";
import type { UnlearnDocument } from "../case/unlearn.ts";
import type { SweepDocument } from "../sweep/sweep.ts";

/** A ledger with more entries is written to its own file beside the report. */
const LONGEST_INLINE_LEDGER = 500;

/** `report.json` → `report.ledger.json` */
export const ledgerPath = (report: string): string => `${report.replace(/\.json$/, "")}.ledger.json`;

/** A report as outputs of a command: a long ledger may lie beside it. */
export const reportOutputs = (role: string, path: string): readonly Output[] => [
  { role, path, stream: true },
  { role: `the ledger of ${role}`, path: ledgerPath(path), stream: true },
];

const write = (path: string, value: unknown) => writeWhole(path, `${JSON.stringify(value, null, 2)}\n`);

/** Writes the report. A long ledger goes to its own file, whose name is then the value of `ledger`. */
export function writeReport(path: string, document: UnlearnDocument): void {
  if (document.ledger.length <= LONGEST_INLINE_LEDGER) {
    write(path, document);
    return;
  }
  const beside = ledgerPath(path);
  write(beside, document.ledger);
  write(path, { ...document, ledger: { file: basename(beside), steps: document.ledger.length } });
}

/**
 * Writes the report of a run that found nothing to export: the error, its closest miss, and all measurements.
 */
export function writeFailure(path: string, { code, message, exitCode, closest, checks }: BudgetError): void {
  write(path, { error: { code, message, exitCode, closest }, checks });
}

/** Writes `sweep.json` and the picture `front.svg` into the folder of the runs. */
export async function writeSweep(folder: string, document: SweepDocument): Promise<void> {
  const { frontPicture } = await import("./front.ts");
  writeWhole(join(folder, "sweep.json"), `${JSON.stringify(document, null, 2)}\n`);
  writeWhole(join(folder, "front.svg"), await frontPicture(document));
}
