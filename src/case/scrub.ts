import type { GateSettings } from "../gates/read.ts";
import { type CompareOptions, compare, type DiffDocument } from "./compare.ts";
import { judge } from "./judge.ts";
import type { Case } from "./open.ts";
import type { Candidate, UnlearnDocument, UnlearnHooks, UnlearnSettings } from "./unlearn.ts";

/**
 * What comes after the training: whether to compare, what to hold the comparison to, and where the file goes.
 */
export interface ScrubPlan {
  readonly settings: UnlearnSettings;
  /** undefined: both files are compared only where gates ask for it. */
  readonly comparing?: CompareOptions;
  readonly gates?: GateSettings;
  readonly out: string;
  /** Replace an existing output. */
  readonly force?: boolean;
}

export interface Scrubbed {
  readonly candidate: Candidate;
  readonly document: UnlearnDocument;
  readonly comparison: DiffDocument | undefined;
}

/**
 * Unlearn, compare, judge, put in place (or aside, where a gate failed): what every command that writes a
 * model does.
 */
export async function scrub(opened: Case, plan: ScrubPlan, hooks: UnlearnHooks): Promise<Scrubbed> {
  const { settings, comparing, gates, out, force } = plan;
  const candidate = await opened.unlearn(settings, hooks);
  let comparison: DiffDocument | undefined;
  if (comparing || gates) {
    hooks.onPhase?.("comparing both files");
    const { seed } = candidate.document;
    const compared = await compare(
      opened,
      candidate.model,
      { reference: settings.reference, golden: gates?.golden, ...comparing, seed },
      hooks,
    );
    comparison = { ...compared, gates: judge(compared, gates).gates };
  }
  hooks.onPhase?.("putting the new file in place");
  const judged = comparison?.gates ? { gates: comparison.gates } : {};
  if (comparison?.gates?.verdict === "failed") {
    const { path } = await candidate.reject(out, { force });
    return { candidate, comparison, document: { ...candidate.document, ...judged, rejected: path } };
  }
  await candidate.commit(out, { force });
  return { candidate, comparison, document: { ...candidate.document, ...judged } };
}
