import { openSources, type SetInputs, type SetSources } from "../data/sets.ts";
import { type OpenedCase, type OpenOptions, openSourced } from "./case.ts";
import type { ModelInput } from "./model.ts";
import { type Candidate, type UnlearnHooks, type UnlearnSettings, unlearnCase } from "./unlearn.ts";

/** A shipped model and its data, ready to be unlearned. */
export interface Case extends OpenedCase {
  /**
   * Trains, exports and verifies in memory; nothing is written.
   * @throws BudgetError (exit 1) where no state keeps to the budget and forgets enough; others as training
   *   and verification
   */
  unlearn(settings?: UnlearnSettings, hooks?: UnlearnHooks): Promise<Candidate>;
}

/** Opens a case of sources that are open already. @throws as {@link open} */
export async function openCase(
  model: ModelInput,
  sources: SetSources,
  options: OpenOptions = {},
): Promise<Case> {
  const opened = await openSourced(model, sources, options);
  return { ...opened, unlearn: (settings = {}, hooks = {}) => unlearnCase(opened, settings, hooks) };
}

/**
 * Opens a shipped model with its sets: where every use of this library begins.
 * @param model a path, or the bytes of a file
 * @param sets paths of `.npz` files, arrays in memory, async iterables of arrays, or readers of one's own
 * @throws OnnxUnlearnError (exit 2) for unusable data, (exit 3) for a model that cannot be trained
 */
export const open = async (
  model: ModelInput,
  sets: Omit<SetInputs, "preprocessing" | "loss">,
  options: OpenOptions = {},
): Promise<Case> => openCase(model, await openSources(sets), options);
