import { refuseBadTarget, refuseUnwritable } from "../../converters/export/write.ts";
import type { OpenOptions } from "../case/case.ts";
import { BudgetError } from "../case/guard.ts";
import { type ModelInput, openModel, openReference } from "../case/model.ts";
import { openCase } from "../case/open.ts";
import { scrub } from "../case/scrub.ts";
import type { UnlearnDocument, UnlearnHooks, UnlearnSettings } from "../case/unlearn.ts";
import { openSources, type SetInputs } from "../data/sets.ts";
import { type GateSettings, readGates } from "../gates/read.ts";
import { refuseBadViews, type ViewPaths, writeViews } from "../report/views.ts";
import { refuseBadReport, writeFailure, writeReport } from "../report/write.ts";

export interface UnlearnRequest
  extends SetInputs,
    OpenOptions,
    Omit<UnlearnSettings, "reference">,
    ViewPaths {
  readonly model: ModelInput;
  readonly out: string;
  /** Replace an existing output. */
  readonly force?: boolean;
  /** A model retrained without the forget set: only compared with. */
  readonly reference?: ModelInput;
  /** Gates, or a file of them: where one fails, the new file is put at `OUT.rejected`. */
  readonly gates?: string | GateSettings;
  /** Where the JSON report goes. */
  readonly report?: string;
  /** Put ids and thumbnails of samples into the views: they then reveal data. */
  readonly showSamples?: boolean;
}

const isPath = (value: unknown): value is string => typeof value === "string";

/**
 * What can be known to be wrong with reports and views before the work.
 * @throws badInput REPORT_FOLDER, REPORT_PATH, VIEW_FOLDER, VIEW_PATH, JUNIT_WITHOUT_GATES
 */
function refuseBadReports(request: UnlearnRequest): void {
  const { model, out, report, forget, retain, test, validation, also = {} } = request;
  const inputs = [model, forget, retain, test, validation, ...Object.values(also)].filter(isPath);
  if (report !== undefined) refuseBadReport(report, [...inputs, out]);
  const gatesFile = isPath(request.gates) ? request.gates : undefined;
  refuseBadViews(request, { given: request.gates !== undefined, file: gatesFile }, [...inputs, out, report]);
}

/**
 * The whole road with files at both ends: model and sets in, verified model file, report and views out. Where
 * it fails, no model is written.
 * @throws OnnxUnlearnError with the exit code of the command line
 */
export async function unlearn(request: UnlearnRequest, hooks: UnlearnHooks = {}): Promise<UnlearnDocument> {
  const { model: input, out, force, report, html, markdown, junit, showSamples, ...settings } = request;
  refuseBadReports(request);
  // A mistake in it is known before the work.
  const gates = isPath(request.gates) ? readGates(request.gates) : request.gates;
  const model = openModel(input, request);
  await refuseBadTarget(model.source, out, force);
  await refuseUnwritable(out);
  hooks.onPhase?.("reading the data");
  const loss = request.loss ?? request.options?.loss;
  const opened = await openCase(model, await openSources(request), {
    ...request,
    loss,
    threads: request.options?.threads ?? request.threads,
    seed: request.options?.seed ?? request.seed,
  });
  const reference = request.reference === undefined ? undefined : openReference(request.reference, request);
  const viewed = (html ?? markdown ?? junit) !== undefined;
  try {
    const { document, comparison } = await scrub(
      opened,
      {
        settings: { ...settings, reference },
        ...(viewed ? { comparing: { showSamples } } : {}),
        ...{ gates, out, force },
      },
      hooks,
    );
    if (comparison) await writeViews({ html, markdown, junit }, comparison, document);
    if (report !== undefined) writeReport(report, document);
    return document;
  } catch (error) {
    // A run that found nothing still says how close it came.
    if (report !== undefined && error instanceof BudgetError) writeFailure(report, error);
    throw error;
  }
}
