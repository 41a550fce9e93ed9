import { overlapWarnings } from "../data/overlap.ts";
import type { SetInputs } from "../data/sets.ts";
import { type Gap, gapTo } from "../evaluate/evaluation.ts";
import type { Hooks, OpenOptions } from "./case.ts";
import { type Measured, measureModel, type SetSizes, sizesOf } from "./measure.ts";
import { type ModelInput, openReference } from "./model.ts";
import { open } from "./open.ts";
import { type Versions, versions } from "./versions.ts";

export interface EvaluateRequest extends SetInputs, OpenOptions {
  readonly model: ModelInput;
  /** A model retrained without the forget set: the gold standard (docs/method.md, "Baselines"). */
  readonly reference?: ModelInput;
}

export interface EvaluateDocument extends Measured {
  readonly reference: (Measured & { readonly gap: Gap }) | null;
  readonly samples: SetSizes;
  /** What makes the figures say less than they seem to: samples that stand in two sets. */
  readonly warnings: readonly string[];
  readonly versions: Versions;
}

/**
 * Accuracy and membership figures of one model file, run in ONNX Runtime; with a reference, the gaps to it.
 * @throws OnnxUnlearnError with the exit code of the command line
 */
export async function evaluate(
  request: EvaluateRequest,
  { onPhase, signal }: Hooks = {},
): Promise<EvaluateDocument> {
  onPhase?.("reading the model and the data");
  const opened = await open(request.model, request, request);
  onPhase?.("measuring the model");
  const measured = await measureModel(opened, opened.model, { signal });
  const reference =
    request.reference === undefined
      ? null
      : await measureModel(opened, openReference(request.reference, request), { signal });
  return {
    ...measured,
    reference: reference && { ...reference, gap: gapTo(measured.metrics, reference.metrics) },
    samples: sizesOf(opened.sets),
    warnings: overlapWarnings(opened.sets),
    versions: versions(),
  };
}
