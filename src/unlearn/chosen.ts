import type { ForgetObjective } from "../tasks/task.ts";
import { type Method, methods } from "./methods/index.ts";
import type { MethodDefinition } from "./methods/method.ts";
import { forgetObjective, ownTargets } from "./objectives.ts";
import type { NamedOptions, UnlearnOptions } from "./types.ts";

/** The definition of a method that is given by name or as an own definition. */
export const methodOf = (method: Method | MethodDefinition): MethodDefinition =>
  typeof method === "string" ? methods[method] : method;

/**
 * The forget objective: the method's own, else the one that the options choose.
 * @throws badInput OBJECTIVE_LOSS where it is not defined for the loss
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

/** Options for a report: an own method is replaced by its name, an own objective by "own". */
export const namedOptions = ({
  method,
  forgetObjective: chosen,
  ...options
}: UnlearnOptions): NamedOptions => ({
  method: methodOf(method).name,
  ...options,
  ...(chosen === undefined ? {} : { forgetObjective: typeof chosen === "string" ? chosen : "own" }),
});
