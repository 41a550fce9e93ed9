import { badInput } from "../../converters/errors.ts";
import { methodOf, methods, objectiveOf } from "./methods/index.ts";
import {
  EPSILON_SCHEDULES,
  FORGET_OBJECTIVES,
  LEARNING_RATE_SCHEDULES,
  LOSSES,
  METHODS,
  OPTIMIZERS,
  type UnlearnOptions,
} from "./types.ts";

/** What is wrong with a value, or undefined. */
type Check = (value: unknown) => string | undefined;

const finite =
  (minimum: number, maximum = Number.POSITIVE_INFINITY, open = false): Check =>
  (value) =>
    typeof value === "number" &&
    Number.isFinite(value) &&
    (open ? value > minimum : value >= minimum) &&
    value <= maximum
      ? undefined
      : `a number ${open ? "above" : "of at least"} ${minimum}${maximum === Number.POSITIVE_INFINITY ? "" : ` and at most ${maximum}`}`;
const whole =
  (minimum: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= minimum
      ? undefined
      : `a whole number of at least ${minimum}`;
const oneOf =
  (...names: readonly string[]): Check =>
  (value) =>
    names.includes(value as string) ? undefined : `one of ${names.join(", ")}`;
const anyNumber: Check = (value) =>
  typeof value === "number" && Number.isFinite(value) ? undefined : "a number";
const positive = finite(0, Number.POSITIVE_INFINITY, true);

/** A name of the list, or an object with these fields: a value of the user's own. */
const ownOr =
  (names: readonly string[], fields: readonly string[]): Check =>
  (value) =>
    typeof value === "object" && value !== null && fields.every((field) => field in value)
      ? undefined
      : oneOf(...names)(value) && `${oneOf(...names)(value)}, or an object with ${fields.join(", ")}`;

const checks: { readonly [K in keyof Required<UnlearnOptions>]: Check } = {
  method: ownOr(METHODS, ["name", "uses", "losses"]),
  epsilon: anyNumber,
  epsilonSchedule: oneOf(...EPSILON_SCHEDULES),
  dual: oneOf("adam", "ascent"),
  beta: finite(0),
  forgetObjective: ownOr(FORGET_OBJECTIVES, ["perSample", "loggable", "targets"]),
  loss: oneOf(...LOSSES),
  lambda: finite(0),
  epochs: whole(0),
  lr: (value) => (value === "auto" ? undefined : positive(value) && `${positive(value)}, or auto`),
  schedule: oneOf(...LEARNING_RATE_SCHEDULES),
  warmup: finite(0, 1),
  optimizer: oneOf(...OPTIMIZERS),
  momentum: finite(0, 1),
  weightDecay: finite(0),
  clipNorm: positive,
  saliency: finite(0, 1, true),
  settings: (value) => (typeof value === "object" && value !== null ? undefined : "numbers by name"),
  batchSize: whole(1),
  seed: whole(0),
  threads: whole(1),
  engine: oneOf("onnxruntime", "tensorflow", "cpu"),
};

/**
 * Refuses what no method knows, before any work.
 * @throws badInput UNKNOWN_OPTION, OPTION_RANGE, OBJECTIVE_FIXED, OBJECTIVE_LOSS (exit 2)
 */
export function checkOptions(options: UnlearnOptions): void {
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(checks, name))
      throw badInput(
        "UNKNOWN_OPTION",
        `there is no option "${name}"; the options are ${Object.keys(checks).join(", ")}.`,
      );
    const wanted = value === undefined ? undefined : checks[name as keyof typeof checks](value);
    if (wanted)
      throw badInput("OPTION_RANGE", `the option ${name} is ${String(value)}; it must be ${wanted}.`);
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
    const wanted = finite(setting.minimum, setting.maximum)(value);
    if (wanted)
      throw badInput(
        "OPTION_RANGE",
        `the setting ${name} of ${method.name} (${setting.what}) is ${value}; it must be ${wanted}.`,
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
