import type { TrainableModel } from "../../converters/import/model.ts";
import type { OpenOptions } from "../case/case.ts";
import { BudgetError } from "../case/guard.ts";
import { claim, inputFiles } from "../case/inputs.ts";
import { type ModelInput, openModel, openReference } from "../case/model.ts";
import { openCase } from "../case/open.ts";
import { scrub } from "../case/scrub.ts";
import {
  rejectedPlace,
  type UnlearnDocument,
  type UnlearnHooks,
  type UnlearnSettings,
} from "../case/unlearn.ts";
import { openSources, type SetInputs } from "../data/sets.ts";
import { type GateSettings, readGates } from "../gates/read.ts";
import { type ViewPaths, viewOutputs, writeViews } from "../report/views.ts";
import { reportOutputs, writeFailure, writeReport } from "../report/write.ts";

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

/** Whether every output of a request may be written. @throws badInput as `claimOutputs`; JUNIT_WITHOUT_GATES */
function claimRequest(
  request: UnlearnRequest,
  read: { model: TrainableModel; reference: TrainableModel | undefined; gates: GateSettings | undefined },
  tell: UnlearnHooks["onPhase"],
): void {
  const { out, report, gates, force } = request;
  const { model, reference } = read;
  claim(
    {
      inputs: inputFiles({
        models: { "the model": model.source, "the reference": reference?.source },
        sets: request,
        gates: { given: gates, read: read.gates },
      }),
      outputs: [
        { role: "the output", path: out },
        ...(gates === undefined ? [] : [{ role: "OUT.rejected", path: rejectedPlace(out) }]),
        ...(report === undefined ? [] : reportOutputs("the option report", report)),
        ...viewOutputs(request, gates),
      ],
      force,
      model: { out, from: model },
    },
    tell,
  );
}

/**
 * The whole road with files at both ends: model and sets in, verified model file, report and views out. Where
 * it fails, no model is written.
 * @throws OnnxUnlearnError with the exit code of the command line
 */
export async function unlearn(request: UnlearnRequest, hooks: UnlearnHooks = {}): Promise<UnlearnDocument> {
  const { model: input, out, force, report, html, markdown, junit, showSamples, ...settings } = request;
  // A mistake in it is known before the work.
  const gates = isPath(request.gates) ? readGates(request.gates) : request.gates;
  const model = openModel(input, request);
  const reference = request.reference === undefined ? undefined : openReference(request.reference, request);
  claimRequest(request, { model, reference, gates }, hooks.onPhase);
  hooks.onPhase?.("reading the data");
  const loss = request.loss ?? request.options?.loss;
  const opened = await openCase(model, await openSources(request), {
    ...request,
    loss,
    threads: request.options?.threads ?? request.threads,
    seed: request.options?.seed ?? request.seed,
  });
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
