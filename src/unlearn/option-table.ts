import { ENGINES } from "../engine/engine.ts";
import { LOSSES, type LossName } from "../tasks/index.ts";
import { FORGET_OBJECTIVES, type ForgetObjectiveName } from "../tasks/task.ts";
import { METHODS, type Method, methods } from "./methods/index.ts";
import type { MethodDefinition } from "./methods/method.ts";
import type { Kind, ValueOf } from "./option-kind.ts";

export { METHODS, type Method };
export { FORGET_OBJECTIVES, type ForgetObjectiveName, LOSSES, type LossName };

export const LEARNING_RATE_SCHEDULES = ["constant", "cosine"] as const;
export type LearningRateSchedule = (typeof LEARNING_RATE_SCHEDULES)[number];

export const EPSILON_SCHEDULES = ["constant", "linear", "cosine"] as const;
export type EpsilonSchedule = (typeof EPSILON_SCHEDULES)[number];

export const OPTIMIZERS = ["sgd", "adamw"] as const;
export type OptimizerName = (typeof OPTIMIZERS)[number];

export const GOALS = ["unseen", "gone"] as const;
/**
 * What a forgotten sample should look like. `unseen`: like data the model never saw (a person's samples);
 * `gone`: never predicted as its label again (a class, a poisoned batch).
 */
export type Goal = (typeof GOALS)[number];

/** The part of a pipeline file that holds an option; `none`: the file cannot set it. */
export type Section = "unlearn" | "top" | "none";

/** One option. Types, checks, flags, --help, pipeline schema and docs/options.md derive from it. */
export interface OptionRow {
  readonly kind: Kind;
  /** One line for --help, the schema and the page. */
  readonly what: string;
  /**
   * Value of an option that is not given. Without a default it is undefined, and `absent` says what follows.
   */
  readonly default?: number | string;
  readonly absent?: string;
  /** The default where a budget is set; `underBudgetWhere` says in which cases, if not in all. */
  readonly underBudget?: number | string;
  readonly underBudgetWhere?: string;
  /** With which methods, optimizers and losses the option has an effect; undefined: with all. */
  readonly heeded?: {
    readonly methods?: readonly Method[];
    readonly optimizers?: readonly OptimizerName[];
    readonly losses?: readonly LossName[];
    readonly where?: string;
  };
  /** The flag in camel case where it is not the option's name, and the word for its value in --help. */
  readonly flag?: string;
  readonly value?: string;
  /**
   * The key in a pipeline file where it is not the name, and the part that holds it, by default `unlearn`.
   */
  readonly key?: string;
  readonly section?: Section;
}

const methodsWith = (has: (method: MethodDefinition) => boolean): readonly Method[] =>
  METHODS.filter((name) => has(methods[name]));
/** Methods with a dual variable, and methods that measure the rise of the utility loss. */
const DUAL_METHODS = methodsWith(({ dual }) => dual !== undefined);
const SURGERY = methodsWith(({ dual, rise }) => (dual ?? rise) !== undefined);
const CLASSIFYING = ["cross-entropy", "binary-cross-entropy"] as const;

type Rows = Readonly<Record<string, OptionRow>>;

/** Constraints on the exported model. */
const guard = {
  budget: {
    kind: { is: "text" },
    value: "amount",
    what: "largest loss of utility on validation data: 0.5pp, 0.02nats, or 0.02mse for a regression; no other number needs tuning",
  },
  minForgetting: {
    kind: { is: "amount" },
    what: "an export must forget at least so much: points of accuracy (1pp) or loss (0.01nats)",
    default: 1,
    heeded: { where: "with a budget or limits" },
  },
  goal: {
    kind: { is: "choice", of: GOALS },
    what: "what forgotten samples should look like: data the model never saw, or never their label again",
    absent: "unseen with validation data, unless the forget set has a class of its own; else gone",
    heeded: { where: "with a budget, limits, stop conditions or lr auto" },
  },
  limits: {
    kind: { is: "map", of: "text" },
    flag: "limit",
    value: "name=points",
    what: "how far the accuracy of a further set may fall (a=-1pp) or rise (a=+1pp)",
    heeded: { losses: CLASSIFYING },
  },
  stopWhen: {
    kind: { is: "list" },
    value: "condition",
    what: "ends the run where it holds, such as forgetAccuracy<=validationAccuracy",
    heeded: { losses: CLASSIFYING },
  },
} as const satisfies Rows;

/** How a run trains. */
const training = {
  method: {
    kind: { is: "choice", of: METHODS, own: ["name", "uses", "losses"] },
    what: "the unlearning method",
    default: "eupmu",
    underBudget: "eupmu-fast",
  },
  epsilon: {
    kind: { is: "number" },
    what: "ε_t per step in log-ratio units of the utility loss: above 0 allows a rise",
    default: -0.01,
    heeded: { methods: SURGERY },
  },
  epsilonSchedule: {
    kind: { is: "choice", of: EPSILON_SCHEDULES },
    what: "how ε_t goes from epsilon to 0 over the run",
    absent: "constant",
    heeded: { methods: SURGERY, where: "without a budget" },
  },
  dual: {
    kind: { is: "choice", of: ["adam", "ascent"] },
    value: "rule",
    what: "how the dual variable λ moves",
    default: "adam",
    heeded: { methods: DUAL_METHODS },
  },
  beta: {
    kind: { is: "number", minimum: 0 },
    what: "step size of λ",
    default: 1,
    heeded: { methods: DUAL_METHODS },
  },
  lambda: {
    kind: { is: "number", minimum: 0 },
    what: "λ at the start",
    absent: "0; 1 for eupmu-fast",
    heeded: { methods: DUAL_METHODS },
  },
  forgetObjective: {
    kind: { is: "choice", of: FORGET_OBJECTIVES, own: ["perSample", "loggable"] },
    flag: "objective",
    key: "objective",
    what: "what is minimised on the forget set",
    absent: "random-label",
    underBudget: "bounded-ascent",
    underBudgetWhere: "where the goal is gone",
    heeded: { methods: methodsWith(({ objective }) => objective === undefined) },
  },
  loss: {
    kind: { is: "choice", of: LOSSES },
    what: 'the utility loss, and so what "y" holds: classes, bits or values',
    absent: "cross-entropy",
  },
  epochs: {
    kind: { is: "whole", minimum: 0 },
    what: "passes over the union of both sets; 0 exports without training",
    default: 5,
    underBudget: 10,
  },
  lr: {
    kind: { is: "number", above: 0, or: "auto" },
    what: "learning rate; auto finds one during the run with a budget, else by a short range test on validation data",
    default: 0.001,
    underBudget: "auto",
  },
  schedule: {
    kind: { is: "choice", of: LEARNING_RATE_SCHEDULES },
    what: "how the learning rate goes over the run",
    absent: "constant",
  },
  warmup: {
    kind: { is: "number", minimum: 0, maximum: 1 },
    value: "share",
    what: "share of the run over which the learning rate rises from 0",
    absent: "0",
  },
  optimizer: {
    kind: { is: "choice", of: OPTIMIZERS },
    what: "how gradients become steps",
    absent: "sgd",
    underBudget: "adamw",
    underBudgetWhere: "where lr is auto",
  },
  momentum: {
    kind: { is: "number", minimum: 0, maximum: 1 },
    what: "share of the last step in the next one",
    default: 0.9,
    heeded: { optimizers: ["sgd"] },
  },
  weightDecay: { kind: { is: "number", minimum: 0 }, what: "L2 of SGD, decoupled for AdamW", default: 5e-4 },
  clipNorm: {
    kind: { is: "number", above: 0 },
    what: "largest norm of all gradients together",
    absent: "no clipping",
  },
  saliency: {
    kind: { is: "number", above: 0, maximum: 1 },
    value: "share",
    what: "only this share of the weights may change: those with the largest forget gradient at the start",
    absent: "1; 0.5 for salun",
  },
  settings: {
    kind: { is: "map", of: "number" },
    flag: "set",
    value: "name=number",
    what: "a setting of the method, such as alpha=0.5 of scrub",
    absent: "the method's own",
  },
  batchSize: { kind: { is: "whole", minimum: 1 }, what: "samples per step", default: 128 },
  seed: { kind: { is: "whole", minimum: 0 }, what: "seed of every draw", default: 0, section: "top" },
  threads: {
    kind: { is: "whole", minimum: 1 },
    what: "threads of ONNX Runtime",
    absent: "one per processor",
    section: "top",
  },
  engine: { kind: { is: "choice", of: ENGINES }, what: "what runs the training steps", default: ENGINES[0] },
} as const satisfies Rows;

/** How the model is imported. */
const importing = {
  train: {
    kind: { is: "list" },
    value: "glob",
    what: "train only these weights",
    absent: "every weight that can be trained",
  },
  freeze: { kind: { is: "list" }, value: "glob", what: "never train these weights" },
  logits: {
    kind: { is: "text" },
    value: "name",
    what: "value name of the logits",
    absent: "found in the graph",
    section: "top",
  },
} as const satisfies Rows;

/** Checks that can be switched off. */
const permissions = {
  allowOverlap: { kind: { is: "flag" }, what: "accept samples that are in two sets" },
  force: { kind: { is: "flag" }, what: "replace outputs that exist: model, reports, views", section: "none" },
} as const satisfies Rows;

const table = { ...guard, ...training, ...importing, ...permissions };
type Table = typeof table;
export type OptionName = keyof Table;
export type OptionValue<N extends OptionName> = ValueOf<Table[N]["kind"]>;

export const OPTIONS: { readonly [N in OptionName]: OptionRow } = table;
const namesOf = <T extends Rows>(rows: T) => Object.keys(rows) as readonly (keyof T & OptionName)[];
export const OPTION_NAMES = namesOf(table);
/** The names of the options, by group. */
export const OPTION_GROUPS = {
  training: namesOf(training),
  guard: namesOf(guard),
  importing: namesOf(importing),
  permissions: namesOf(permissions),
} as const;

type WithDefault = {
  [N in OptionName]: Table[N] extends { readonly default: unknown } ? N : never;
}[OptionName];
type Given<Names extends OptionName> = { readonly [N in Names]?: OptionValue<N> };
type TrainingOptions = Given<Exclude<keyof typeof training, WithDefault>> & {
  readonly [N in keyof typeof training & WithDefault]: OptionValue<N>;
};

/** How a run trains; docs/options.md explains each field. Options with a default are required here. */
export interface OptionValues extends TrainingOptions {}
/** Constraints on the exported model, as a user writes them (docs/method.md, "Budgets"). */
export interface GuardOptions extends Given<keyof typeof guard> {}

/** All options in the layout of a request to unlearn: those of training are under `options`. */
export interface RequestOptions
  extends GuardOptions,
    Given<keyof typeof importing | keyof typeof permissions> {
  readonly options: Partial<OptionValues>;
}

/** The named fields with the values that `of` gives them; leaves out what is undefined. */
export const definedFields = <N extends string>(names: readonly N[], of: (name: N) => unknown): object =>
  Object.fromEntries(names.map((name) => [name, of(name)]).filter(([, value]) => value !== undefined));
const only = (field: "default" | "underBudget"): object =>
  definedFields(OPTION_GROUPS.training, (name) => OPTIONS[name][field]);
/** Values of the options that are not given, for a run without a budget. */
export const DEFAULT_OPTIONS = only("default") as OptionValues;
/** Defaults in place of `DEFAULT_OPTIONS` where a budget is set; `resolveOptions` says in which cases. */
export const BUDGET_DEFAULTS = only("underBudget") as Partial<OptionValues>;

export type Spelling = "flag" | "key";
/** An option's name among the flags (in camel case) or the keys of a pipeline file. */
export type Spelled<N extends OptionName, By extends Spelling> = Table[N] extends {
  readonly [S in By]: infer Other extends string;
}
  ? Other
  : N;
export const spelled = (name: OptionName, by: Spelling): string => OPTIONS[name][by] ?? name;

/** `--batch-size` */
export const flagName = (name: OptionName): string =>
  `--${spelled(name, "flag").replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** Options under the names of their flags or keys. */
export type SpelledOptions<By extends Spelling, Names extends OptionName = OptionName> = {
  readonly [N in Names as Spelled<N, By>]?: OptionValue<N> | undefined;
};

export const sectionOf = (name: OptionName): Section => OPTIONS[name].section ?? "unlearn";
/** The names of the options in one part of a pipeline file. */
export type NamesInSection<S extends Section> = {
  [N in OptionName]: (Table[N] extends { readonly section: infer Own } ? Own : "unlearn") extends S
    ? N
    : never;
}[OptionName];

/**
 * Converts options from the names of flags or keys to the layout of a request; leaves out what is undefined.
 */
export function requestOptions<By extends Spelling>(options: SpelledOptions<By>, by: By): RequestOptions {
  const values: Readonly<Record<string, unknown>> = options;
  const of = (names: readonly OptionName[]) => definedFields(names, (name) => values[spelled(name, by)]);
  const { training, ...others } = OPTION_GROUPS;
  return { ...of(Object.values(others).flat()), options: of(training) };
}

/** The default in words: `random-label; bounded-ascent with a budget where the goal is gone`. */
export function defaultText(name: OptionName): string | undefined {
  const { default: value, absent, underBudget, underBudgetWhere } = OPTIONS[name];
  const plain = value ?? absent;
  if (underBudget === undefined) return plain?.toString();
  return `${plain}; ${[underBudget, "with a budget", underBudgetWhere].filter(Boolean).join(" ")}`;
}

/** Where the option has an effect, in words: `eupmu, eupmu-fast; without a budget`; undefined: everywhere. */
export function heededText(name: OptionName): string | undefined {
  const { methods, optimizers, losses, where } = OPTIONS[name].heeded ?? {};
  const parts = [
    methods?.join(", "),
    optimizers && `optimizer ${optimizers.join(" or ")}`,
    losses && `loss ${losses.join(" or ")}`,
    where,
  ];
  return parts.filter(Boolean).join("; ") || undefined;
}
