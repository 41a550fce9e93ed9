import { type Method, methods } from "./methods/index.ts";
import type { MethodDefinition } from "./methods/method.ts";
import { type ForgetObjective, forgetObjective, ownTargets } from "./objectives.ts";
import type { NamedOptions, UnlearnOptions } from "./types.ts";

/** A method by its name, or as it is. */
export const methodOf = (method: Method | MethodDefinition): MethodDefinition =>
  typeof method === "string" ? methods[method] : method;

/**
 * What is minimised on the forget samples: the method's own objective, else the one the options choose.
 * @throws badInput OBJECTIVE_LOSS where it has no meaning for the loss
 */
export function objectiveOf(
  { objective }: MethodDefinition,
  {
    forgetObjective: chosen = "random-label",
    loss = "cross-entropy",
  }: Pick<UnlearnOptions, "forgetObjective" | "loss">,
): ForgetObjective {
  const wanted = objective ?? chosen;
  if (typeof wanted === "object") return wanted;
  return wanted === "utility" ? ownTargets(loss) : forgetObjective(wanted, loss);
}

/** Options as a report shows them: an own method or objective by its name. */
export const namedOptions = ({
  method,
  forgetObjective: chosen,
  ...options
}: UnlearnOptions): NamedOptions => ({
  method: methodOf(method).name,
  ...options,
  ...(chosen === undefined ? {} : { forgetObjective: typeof chosen === "string" ? chosen : "own" }),
});
