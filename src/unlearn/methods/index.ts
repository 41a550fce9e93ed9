import { type ForgetObjective, forgetObjective, ownTargets } from "../objectives.ts";
import type { Method, NamedOptions, UnlearnOptions } from "../types.ts";
import { badTeacher } from "./bad-teacher.ts";
import { eupmu } from "./eupmu.ts";
import { eupmuFast } from "./eupmu-fast.ts";
import { explicit } from "./explicit.ts";
import { finetune } from "./finetune.ts";
import { gradientAscent } from "./gradient-ascent.ts";
import { l1Sparse } from "./l1-sparse.ts";
import type { MethodDefinition } from "./method.ts";
import { neggradPlus } from "./neggrad-plus.ts";
import { pcgrad } from "./pcgrad.ts";
import { randomLabel } from "./random-label.ts";
import { salun } from "./salun.ts";
import { scrub } from "./scrub.ts";

/** Every method that has a name of its own; each says which paper it is from. */
export const methods: { readonly [M in Method]: MethodDefinition & { readonly source: string } } = {
  eupmu,
  "eupmu-fast": eupmuFast,
  explicit,
  finetune,
  "gradient-ascent": gradientAscent,
  "neggrad-plus": neggradPlus,
  "random-label": randomLabel,
  salun,
  "l1-sparse": l1Sparse,
  scrub,
  "bad-teacher": badTeacher,
  pcgrad,
};

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
