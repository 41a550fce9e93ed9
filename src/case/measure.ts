import type { TrainableModel } from "../../converters/import/model.ts";
import type { Sets } from "../data/sets.ts";
import { type Evaluation, evaluationOf, type Gap } from "../evaluate/evaluation.ts";
import type { OpenedCase } from "./case.ts";
import { type FileIdentity, identify } from "./verification.ts";

/** Samples per set; null for a set that was not given. */
export interface SetSizes {
  readonly forget: number;
  readonly retain: number;
  readonly validation: number | null;
  readonly test: number | null;
}

export const sizesOf = (sets: Sets): SetSizes => ({
  forget: sets.forget.count,
  retain: sets.retain.count,
  validation: sets.validation?.count ?? null,
  test: sets.test?.count ?? null,
});

/** A model file and its figures. */
export interface Measured {
  readonly model: FileIdentity;
  readonly metrics: Evaluation;
}

/** A retrained model's own figures, and how far both files are from them. */
export interface ReferenceGaps extends Measured {
  readonly gap: { readonly before: Gap; readonly after: Gap };
}

/** Figures of a model on the sets of a case, or on others. */
export async function measureModel(
  { answers, options }: OpenedCase,
  model: TrainableModel,
  {
    sets,
    seed = options.seed ?? 0,
    signal,
  }: { readonly sets?: Sets; readonly seed?: number; readonly signal?: AbortSignal } = {},
): Promise<Measured> {
  const metrics = evaluationOf(await answers(model, sets, signal), { seed });
  return { model: identify(model.source), metrics };
}
