import type { SetInputs } from "../data/sets.ts";
import { loadShadows } from "../data/shadows.ts";
import { type GateSettings, readGates } from "../gates/read.ts";
import type { Hooks, OpenOptions } from "./case.ts";
import { type CompareOptions, compare, type DiffDocument } from "./compare.ts";
import { judge } from "./judge.ts";
import { type ModelInput, openModel, openReference } from "./model.ts";
import { open } from "./open.ts";

export interface DiffRequest
  extends SetInputs,
    OpenOptions,
    Omit<CompareOptions, "reference" | "shadows" | "golden" | "seed"> {
  readonly before: ModelInput;
  readonly after: ModelInput;
  /** A model retrained without the forget set: the gold standard (docs/method.md, "Baselines"). */
  readonly reference?: ModelInput;
  /** A folder of reference models for LiRA, U-LiRA and RMIA; see {@link loadShadows}. */
  readonly shadow?: string;
  /** Gates, or a file of them: `gates` of the document says which of its checks hold. */
  readonly gates?: string | GateSettings;
}

/**
 * Two model files on the same data in ONNX Runtime: what the scrubbing changed in behaviour and in the file.
 * @throws OnnxUnlearnError with the exit code of the command line
 */
export async function diff(request: DiffRequest, hooks: Hooks = {}): Promise<DiffDocument> {
  // Read first: a mistake in it is known before the work.
  const gates = typeof request.gates === "string" ? readGates(request.gates) : request.gates;
  hooks.onPhase?.("reading the models and the data");
  const opened = await open(request.before, request, request);
  const after = openModel(request.after, request);
  const { forget, test } = opened.sets;
  const { relearn, showSamples } = request;
  hooks.onPhase?.("comparing both files");
  const comparison = await compare(
    opened,
    after,
    {
      ...{ relearn, showSamples },
      // Relearning trains the same weights of both files.
      reference:
        request.reference === undefined
          ? undefined
          : (relearn ? openModel : openReference)(request.reference, request),
      shadows:
        request.shadow === undefined
          ? undefined
          : await loadShadows(request.shadow, { forget: forget.count, test: test?.count ?? 0 }),
      golden: gates?.golden,
    },
    hooks,
  );
  return { ...comparison, gates: judge(comparison, gates).gates };
}
