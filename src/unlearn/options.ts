import { badInput } from "../../converters/errors.ts";
import { taskOf } from "../tasks/index.ts";
import { methodOf, objectiveOf } from "./chosen.ts";
import { methods } from "./methods/index.ts";
import { accepts, kindText } from "./option-kind.ts";
import {
  BUDGET_DEFAULTS,
  DEFAULT_OPTIONS,
  definedFields,
  type Goal,
  type LossName,
  OPTION_GROUPS,
  OPTIONS,
  type OptionName,
} from "./option-table.ts";
import type { UnlearnOptions } from "./types.ts";

const defined = <T extends object>(options: T): T =>
  definedFields(Object.keys(options) as (keyof T & string)[], (name) => options[name]) as T;

/**
 * All options of a run: those of the request, else the defaults. With a budget the defaults are those of
 * `underBudget` in the table, so that no other number needs tuning. If the goal is `gone`, the forget
 * objective is then bounded ascent, as random labels would teach wrong answers and sometimes the right one.
 * The default method with a budget is `eupmu-fast`, which takes no logarithms: they would multiply the retain
 * gradient by 1/L_r, which is huge on a model that fits its retained data almost perfectly.
 * @param request only `options`, `budget` and `loss` are used
 * @param goal undefined if it is not known yet; the forget objective is then left undefined
 */
export function resolveOptions(
  request: {
    readonly options?: Partial<UnlearnOptions>;
    readonly budget?: string;
    readonly loss?: LossName;
  },
  goal: Goal | undefined,
): UnlearnOptions {
  const loss = request.loss ?? request.options?.loss;
  const chosen = defined({ ...request.options, loss });
  if (request.budget === undefined) return { ...DEFAULT_OPTIONS, ...chosen };
  const { optimizer, forgetObjective: ascent, ...always } = BUDGET_DEFAULTS;
  const options: UnlearnOptions = { ...DEFAULT_OPTIONS, ...always, ...chosen };
  const ascends =
    goal === "gone" &&
    taskOf(loss).objectives["bounded-ascent"] !== undefined &&
    methodOf(options.method).objective === undefined;
  return {
    // The rate `auto` starts from a fixed value. It suits AdamW, whose steps do not depend on the scale of
    // inputs and weights, but not SGD.
    ...defined({
      optimizer: options.lr === "auto" ? optimizer : undefined,
      forgetObjective: ascends ? ascent : undefined,
    }),
    ...options,
  };
}

/**
 * Refuses unknown options and values out of range, before any work.
 * @throws badInput UNKNOWN_OPTION, OPTION_RANGE, OBJECTIVE_FIXED, OBJECTIVE_LOSS (exit 2)
 */
export function checkOptions(options: UnlearnOptions): void {
  const known: readonly string[] = OPTION_GROUPS.training;
  for (const [name, value] of Object.entries(options)) {
    if (!known.includes(name))
      throw badInput("UNKNOWN_OPTION", `there is no option "${name}"; the options are ${known.join(", ")}.`);
    const { kind } = OPTIONS[name as OptionName];
    if (value !== undefined && !accepts(kind, value))
      throw badInput("OPTION_RANGE", `the option ${name} is ${String(value)}; it must be ${kindText(kind)}.`);
  }
  const method = methodOf(options.method);
  const { settings = {} } = method;
  for (const [name, value] of Object.entries(options.settings ?? {})) {
    const setting = Object.hasOwn(settings, name) ? settings[name] : undefined;
    if (!setting)
      throw badInput(
        "UNKNOWN_OPTION",
        `the method ${method.name} has no setting "${name}"; ${Object.keys(settings).length === 0 ? "it has none" : `it has ${Object.keys(settings).join(", ")}`}.`,
      );
    const { minimum, maximum, what } = setting;
    const kind = { is: "number", minimum, maximum } as const;
    if (!accepts(kind, value))
      throw badInput(
        "OPTION_RANGE",
        `the setting ${name} of ${method.name} (${what}) is ${value}; it must be ${kindText(kind)}.`,
      );
  }
  const { forgetObjective: chosen } = options;
  if (chosen !== undefined && method.objective !== undefined)
    throw badInput(
      "OBJECTIVE_FIXED",
      `the method ${method.name} has its own forget objective; choose ${typeof chosen === "string" ? chosen : "another"} with one of ${Object.values(
        methods,
      )
        .filter(({ objective }) => objective === undefined)
        .map(({ name }) => name)
        .join(", ")}.`,
    );
  objectiveOf(method, options);
}
