import { basename, join } from "node:path";
import type { Output } from "../../converters/export/outputs.ts";
import { writeWhole } from "../../converters/export/whole.ts";
import type { BudgetError } from "../case/guard.ts";
import type { UnlearnDocument } from "../case/unlearn.ts";
import type { SweepDocument } from "../sweep/sweep.ts";

/** Longer ledgers get a file of their own beside the report. */
const LONGEST_INLINE_LEDGER = 500;

/** `report.json` → `report.ledger.json` */
export const ledgerPath = (report: string): string => `${report.replace(/\.json$/, "")}.ledger.json`;

/** A report as outputs of a command: a long ledger may lie beside it. */
export const reportOutputs = (role: string, path: string): readonly Output[] => [
  { role, path, stream: true },
  { role: `the ledger of ${role}`, path: ledgerPath(path), stream: true },
];

/** Writes the report; a long ledger goes to its own file, and `ledger` then names it. */
export function writeReport(path: string, document: UnlearnDocument): void {
  const write = (file: string, value: unknown) => writeWhole(file, `${JSON.stringify(value, null, 2)}\n`);
  if (document.ledger.length <= LONGEST_INLINE_LEDGER) {
    write(path, document);
    return;
  }
  const beside = ledgerPath(path);
  write(beside, document.ledger);
  write(path, { ...document, ledger: { file: basename(beside), steps: document.ledger.length } });
}

/**
 * The report of a run that found nothing to export: the error, its closest miss, and every look that was
 * taken.
 */
export function writeFailure(path: string, { code, message, exitCode, closest, checks }: BudgetError): void {
  const document = { error: { code, message, exitCode, closest }, checks };
  writeWhole(path, `${JSON.stringify(document, null, 2)}\n`);
}

/** `sweep.json` and the picture `front.svg`, beside the runs. */
export async function writeSweep(folder: string, document: SweepDocument): Promise<void> {
  const { frontPicture } = await import("./front.ts");
  writeWhole(join(folder, "sweep.json"), `${JSON.stringify(document, null, 2)}\n`);
  writeWhole(join(folder, "front.svg"), await frontPicture(document));
}
