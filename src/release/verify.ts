import { readFileSync } from "node:fs";
import { badInput } from "../../converters/errors.ts";
import type { TensorChange } from "../../converters/export/compare.ts";
import { importModel } from "../../converters/importer.ts";
import { loadModelFile } from "../../converters/onnx/read.ts";
import type { Hooks } from "../case/case.ts";
import { checkParity, type Parity } from "../case/parity.ts";
import {
  type FileIdentity,
  identify,
  verifyBytes,
  verifyLoads,
  verifyReadable,
  verifySideFiles,
  verifyStructure,
} from "../case/verification.ts";
import { type Versions, versions } from "../case/versions.ts";
import type { Preprocessing } from "../data/dataset.ts";
import { openSource } from "../data/open-source.ts";
import { readSet } from "../data/sets.ts";
import { refuseInterrupted } from "../interrupt.ts";
import { type ReceiptCheck, verifyReceipt } from "./check-receipt.ts";

/** Two model files, as paths, and what the new one is held to. */
export interface VerifyRequest {
  readonly after: string;
  readonly before: string;
  /** The report that `unlearn` wrote: exactly its tensors changed, and both files are its files. */
  readonly report?: string;
  /** A data file: ONNX Runtime on AFTER must agree with the imported graph on its samples. */
  readonly samples?: string;
  /** The receipt of a pipeline run. */
  readonly receipt?: string;
  /**
   * The key under which the receipt names data records, and the data files to hold to it, such as `forget`.
   */
  readonly key?: string;
  readonly data?: Readonly<Record<string, string>>;
  readonly preprocessing?: Preprocessing;
  readonly logits?: string;
  readonly threads?: number;
}

/** What the verification found; a step that fails is thrown instead. */
export interface VerifyDocument {
  readonly verified: true;
  readonly changedTensors: readonly TensorChange[];
  /** Path of the report it was held to. */
  readonly report: string | null;
  readonly parity: Parity | null;
  /** What the receipt was held to; null without one. */
  readonly receipt: ReceiptCheck | null;
  readonly model: { readonly before: FileIdentity; readonly after: FileIdentity };
  readonly versions: Versions;
}

/** What an older report may lack of a model: its external data. */
type ReportedModel = Pick<FileIdentity, "sha256"> & Partial<Pick<FileIdentity, "sideFiles">>;
interface Reported {
  readonly changedTensors: readonly string[];
  readonly before: ReportedModel;
  readonly after: ReportedModel;
}

function readReport(path: string): Reported {
  try {
    const { export: exported, model } = JSON.parse(readFileSync(path, "utf8"));
    const { before, after } = model;
    const isModel = ({ sha256, sideFiles = [] }: ReportedModel) =>
      typeof sha256 === "string" && sideFiles.every((side) => typeof side.sha256 === "string");
    if (Array.isArray(exported.changedTensors) && isModel(before) && isModel(after))
      return { changedTensors: exported.changedTensors, before, after };
  } catch {
    // Falls through to the sentence below.
  }
  throw badInput(
    "REPORT_INVALID",
    `${path} is not a report of onnx-unlearn unlearn; give the report that it wrote.`,
  );
}

/**
 * Is AFTER what BEFORE and the report say? In order: it parses and ONNX Runtime loads it; both have the reported
 * external data; everything but float weights is identical; exactly the reported tensors differ; both files are the
 * reported bytes; the receipt fits; outputs agree on the samples.
 * @throws verificationFailed (exit 4) at the first step that fails; badInput (exit 2) for unusable arguments
 */
export async function verify(
  request: VerifyRequest,
  { onPhase, signal }: Hooks = {},
): Promise<VerifyDocument> {
  const phase = (name: string) => {
    refuseInterrupted(signal);
    onPhase?.(name);
  };
  phase("comparing the files");
  const reported = request.report === undefined ? undefined : readReport(request.report);
  const source = loadModelFile(request.before);
  const changed = verifyReadable(() => loadModelFile(request.after));
  await verifyLoads(changed);
  const model = { before: identify(source), after: identify(changed) };
  if (reported) {
    verifySideFiles(request.after, model.after, reported.after.sideFiles);
    verifySideFiles(request.before, model.before, reported.before.sideFiles);
  }
  const changedTensors = verifyStructure(source, changed, reported?.changedTensors);
  if (reported) {
    verifyBytes(request.before, model.before, reported.before);
    verifyBytes(request.after, model.after, reported.after);
  }
  phase("checking the receipt and the data");
  const receipt =
    request.receipt === undefined
      ? null
      : await verifyReceipt(
          request.receipt,
          { before: source, after: changed },
          { key: request.key, sets: request.data ?? {}, inputs: () => importModel(source, request).inputs },
        );
  let parity: Parity | null = null;
  if (request.samples !== undefined) {
    phase("running both on the samples");
    const samples = await openSource(request.samples, "the samples");
    const set = await readSet(samples, importModel(source, request).inputs, {
      preprocessing: request.preprocessing,
      loss: "any",
    });
    parity = await checkParity(importModel(changed, request), request, set, request.threads);
  }
  return {
    verified: true,
    changedTensors,
    report: request.report ?? null,
    parity,
    receipt,
    model,
    versions: versions(),
  };
}
