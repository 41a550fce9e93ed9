import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { badInput, verificationFailed } from "../../converters/errors.ts";
import type { OnnxModel, OnnxValueInfo } from "../../converters/onnx/model.ts";
import { openSource } from "../data/open-source.ts";
import { readSet } from "../data/sets.ts";
import { LOSSES } from "../unlearn/types.ts";
import { modelResources, resourceOf } from "./files.ts";
import { type Receipt, type Resource, readReceipt } from "./receipt.ts";
import { nameSet, readKey } from "./records.ts";

/** What of a receipt was found to fit. */
export interface ReceiptCheck {
  /** The verdict the receipt carries. */
  readonly verdict: string;
  /** Reports beside the receipt that are the ones it names. */
  readonly reports: readonly string[];
  /** Data sets that hold the records it names; empty without a key. */
  readonly data: readonly string[];
}

/**
 * Names are labels: the files may have been renamed, their bytes may not have changed. Only external data, which
 * come after the first, go by the names that the model file has for them.
 */
function holdTo(what: string, receipt: string, named: readonly Resource[], found: readonly Resource[]): void {
  const other = found.find(
    ({ name, digest }, i) =>
      !named.some((one) => one.digest.sha256 === digest.sha256 && (i === 0 || one.name === name)),
  );
  if (other)
    throw verificationFailed(
      "RECEIPT_MISMATCH",
      `${other.name} is not the ${what} of ${receipt}: no SHA-256 in it is ${other.digest.sha256}; some byte has changed since, or it is another file.`,
    );
}

/**
 * Holds files to a receipt: it is as it was written, its subject is AFTER, its dependency BEFORE, the reports
 * beside it are unchanged,
 * and with the key the data files hold the records it names.
 * @param sets data files by what they were for, such as `forget`
 * @throws verificationFailed (exit 4) at the first thing that does not fit
 */
export async function verifyReceipt(
  path: string,
  { before, after }: { readonly before: OnnxModel; readonly after: OnnxModel },
  {
    key: keyPath,
    sets,
    inputs,
  }: {
    readonly key?: string;
    readonly sets: Readonly<Record<string, string>>;
    readonly inputs: () => readonly OnnxValueInfo[];
  },
): Promise<ReceiptCheck> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw badInput(
      "FILE_UNREADABLE",
      `${path} cannot be read (${(error as NodeJS.ErrnoException).code}); check the path.`,
    );
  }
  const key = keyPath === undefined ? undefined : readKey(keyPath, { create: false });
  if (!key && Object.keys(sets).length > 0)
    throw badInput(
      "KEY_MISSING",
      "Data files are held to a receipt under the key they were named with; give it.",
    );
  const receipt: Receipt = readReceipt(text, path, key);
  const { buildDefinition, runDetails } = receipt.predicate;
  const found = modelResources(after, "model");
  holdTo("subject", path, receipt.subject, found);
  if (found.length !== receipt.subject.length)
    throw verificationFailed(
      "RECEIPT_MISMATCH",
      `${after.path} has ${found.length} files, the subject of ${path} ${receipt.subject.length}.`,
    );
  const models = buildDefinition.resolvedDependencies.filter(
    ({ annotations }) => annotations?.role === "model",
  );
  holdTo("origin", path, models, modelResources(before, "model"));

  const reports = runDetails.byproducts.flatMap((report) => {
    const beside = join(dirname(path), basename(report.name));
    if (!existsSync(beside)) return [];
    holdTo("report", path, [report], [resourceOf(beside, "report")]);
    return [report.name];
  });

  const { data: named, options } = buildDefinition.externalParameters;
  const loss = LOSSES.find((name) => name === options["loss"]);
  for (const [name, file] of Object.entries(sets)) {
    const wanted = named?.[name];
    if (!wanted) throw verificationFailed("RECEIPT_MISMATCH", `${path} names no ${name} data.`);
    const set = await readSet(await openSource(file, name), inputs(), { loss });
    const found = nameSet(key!, set, {
      records: wanted.records !== undefined,
    });
    if (found.hmacSha256 !== wanted.hmacSha256) {
      const at = wanted.records?.findIndex((record, i) => record !== found.records?.[i]) ?? -1;
      throw verificationFailed(
        "RECEIPT_MISMATCH",
        `${file} does not hold the ${name} records of ${path}${at < 0 ? "" : `: sample ${at} is another one`} (${found.samples} samples, ${wanted.samples} named).`,
      );
    }
  }
  return {
    verdict: String(runDetails.byproducts[0]?.annotations?.verdict ?? "unknown"),
    reports,
    data: Object.keys(sets),
  };
}
