import { badInput } from "../../converters/errors.ts";
import { taskOf } from "../tasks/index.ts";
import { methodOf, objectiveOf } from "./chosen.ts";
import { methods } from "./methods/index.ts";
import { accepts, kindText } from "./option-kind.ts";
import {
  BUDGET_DEFAULTS,
  DEFAULT_OPTIONS,
  type Goal,
  type LossName,
  OPTION_GROUPS,
  OPTIONS,
  type OptionName,
} from "./option-table.ts";
import type { UnlearnOptions } from "./types.ts";

const defined = <T extends object>(options: T): T =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;

/**
 * The options a run takes: those of the request, else the defaults. With a budget the table's `underBudget`
 * takes the place of the default, so that no other number needs tuning. Data that should be gone is driven
 * out
 * by bounded ascent; random labels would teach it wrong answers and now and then the right one. The default
 * method then weighs the losses themselves: their logarithms magnify the retain gradient by 1/L_r, thousands
 * of
 * times on a model that knows its retained data by heart.
 * @param request of which `options`, `budget` and `loss` count
 * @param goal undefined where it is not known yet; the forget objective then stays open
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
    // A rate belongs to its optimizer: AdamW's does not depend on the scale of a model's inputs and weights.
    ...defined({
      optimizer: options.lr === "auto" ? optimizer : undefined,
      forgetObjective: ascends ? ascent : undefined,
    }),
    ...options,
  };
}

/**
 * Refuses what no method knows, before any work.
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
