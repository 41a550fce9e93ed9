import { accessSync, constants, existsSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { badInput } from "../../converters/errors.ts";
import type { BudgetError } from "../case/guard.ts";
import type { UnlearnDocument } from "../case/unlearn.ts";
import type { SweepDocument } from "../sweep/sweep.ts";

/** A ledger with more entries is written to its own file beside the report. */
const LONGEST_INLINE_LEDGER = 500;

/** `report.json` → `report.ledger.json` */
export const ledgerPath = (report: string): string => `${report.replace(/\.json$/, "")}.ledger.json`;

/**
 * Checks the path of a report before any work.
 * @param taken files of the run, which the report must not overwrite
 * @throws badInput REPORT_FOLDER, REPORT_PATH
 */
export function refuseBadReport(path: string, taken: readonly string[]): void {
  const folder = dirname(resolve(path));
  if (!existsSync(folder))
    throw badInput(
      "REPORT_FOLDER",
      `There is no folder ${folder} to write the report into; create it first.`,
    );
  if (existsSync(path) && statSync(path).isDirectory())
    throw badInput("REPORT_FOLDER", `${path} is a folder; give a file name for the report.`);
  const real = (file: string) => (existsSync(file) ? realpathSync(file) : resolve(file));
  const own = [path, ledgerPath(path)].map(real);
  const clash = taken.find((file) => own.includes(real(file)));
  if (clash !== undefined)
    throw badInput("REPORT_PATH", `The report would replace ${clash}; choose another path for it.`);
  try {
    accessSync(existsSync(path) ? path : folder, constants.W_OK);
  } catch {
    throw badInput(
      "REPORT_FOLDER",
      `The report ${path} cannot be written; choose another path or change its permissions.`,
    );
  }
}

const write = (path: string, value: unknown) => writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);

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
  write(join(folder, "sweep.json"), document);
  writeFileSync(join(folder, "front.svg"), await frontPicture(document));
}
