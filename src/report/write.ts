import { existsSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { badInput } from "../../converters/errors.ts";
import type { UnlearnDocument } from "../api/unlearn.ts";

/** Longer ledgers get a file of their own beside the report. */
const LONGEST_INLINE_LEDGER = 500;

/** `report.json` → `report.ledger.json` */
export const ledgerPath = (report: string): string => `${report.replace(/\.json$/, "")}.ledger.json`;

/** What can be known to be wrong with a report's path before the work. @throws badInput REPORT_FOLDER */
export function refuseBadReport(path: string): void {
  const folder = dirname(resolve(path));
  if (!existsSync(folder))
    throw badInput(
      "REPORT_FOLDER",
      `There is no folder ${folder} to write the report into; create it first.`,
    );
  if (existsSync(path) && statSync(path).isDirectory())
    throw badInput("REPORT_FOLDER", `${path} is a folder; give a file name for the report.`);
}

/** Writes the report; a long ledger goes to its own file, and `ledger` then names it. */
export function writeReport(path: string, document: UnlearnDocument): void {
  const write = (file: string, value: unknown) => writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
  if (document.ledger.length <= LONGEST_INLINE_LEDGER) {
    write(path, document);
    return;
  }
  const beside = ledgerPath(path);
  write(beside, document.ledger);
  write(path, { ...document, ledger: { file: basename(beside), steps: document.ledger.length } });
}
