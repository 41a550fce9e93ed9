import { badInput, OnnxUnlearnError } from "../../converters/errors.ts";
import type { Sets } from "../data/sets.ts";
import { columnsOf } from "../evaluate/columns.ts";
import type { ModelAnswers } from "../evaluate/comparison.ts";
import type { Scored } from "../evaluate/scored.ts";
import {
  type Budget,
  isWithin,
  pairedInterval,
  parseBudget,
  spentOf,
  type Utility,
  unitOf,
} from "../unlearn/budget.ts";
import { figuresOf, parseStopCondition } from "../unlearn/conditions.ts";
import type { Goal, UnlearnOptions, WatchFigures } from "../unlearn/types.ts";
import { goalOf, join, withhold } from "../unlearn/validation.ts";
import { type Forgetting, forgetsEnough, type Limit, targetOf, type Watch } from "../unlearn/watch.ts";

/** What a run is held to, in the user's words (METHOD section 6). */
export interface GuardRequest {
  /** The total utility that may be lost on validation data: `0.5pp`, `0.02nats`, or for a regression `0.02mse`. */
  readonly budget?: string;
  /** An export must forget at least so much: points of accuracy (`1`, `1pp`), or `0.01nats` of loss, see `forgetsEnough`. Default 1 point. */
  readonly minForgetting?: number | string;
  /** Per `also` set, by how many points its accuracy may change: `-1pp` fall, `+1pp` rise. */
  readonly limits?: Readonly<Record<string, string>>;
  /** Each ends the run where it holds: `forgetAccuracy<=validationAccuracy`. */
  readonly stopWhen?: readonly string[];
  /**
   * Undefined: `unseen` with a `validation` set to compare with, unless the forget set has a class of its own; else `gone`.
   */
  readonly goal?: Goal;
}

/** Share of the retained set that is kept out of training where a run needs validation data and none was given. */
const WITHHELD = 0.1;

const parseLimit = (name: string, text: string): Limit => {
  const [, change] = /^\s*([+-][0-9.]+)\s*pp\s*$/.exec(text) ?? [];
  if (change === undefined || !Number.isFinite(Number(change)))
    throw badInput(
      "LIMIT_FORM",
      `the limit "${text}" of ${name} cannot be read; write how far its accuracy may fall (-1pp) or rise (+1pp).`,
    );
  return { name, change: Number(change) / 100 };
};

/** @throws badInput MIN_FORGETTING */
function parseForgetting(given: number | string): Forgetting {
  const [, amount, unit] = /^\s*([0-9.]+)\s*(pp|nats|)\s*$/.exec(String(given)) ?? [];
  const value = amount === undefined ? Number.NaN : Number(amount);
  if (unit === "nats" && Number.isFinite(value)) return { amount: value, unit };
  if (!(value >= 0 && value <= 100))
    throw badInput(
      "MIN_FORGETTING",
      `The least forgetting is ${given}; it must be 0 to 100 points of accuracy (1) or a loss (0.01nats).`,
    );
  return { amount: value / 100, unit: "accuracy" };
}

export const goalFor = ({ goal }: GuardRequest, { forget, retain, validation }: Sets): Goal =>
  goal ?? (validation ? goalOf(forget, retain) : "gone");

/** A regression is held to its squared error, classes and labels to their own units. @throws badInput BUDGET_UNIT, NO_ACCURACY */
function refuseAccuracies({ forget }: Sets, budget: Budget | undefined, needsThem: boolean): void {
  const regression = forget.targets?.kind === "regression";
  if (budget && regression !== (budget.unit === "squared error"))
    throw badInput(
      "BUDGET_UNIT",
      regression
        ? "the targets are numbers, so there is no accuracy and no likelihood to lose; write the budget as mean squared error (0.02mse)."
        : "a budget in mean squared error is for a regression (--loss mse); write points of accuracy (0.5pp) or loss (0.02nats).",
    );
  if (regression && needsThem)
    throw badInput(
      "NO_ACCURACY",
      "limits, stop conditions and the range test of --lr auto compare accuracies, and a regression has none; use --budget.",
    );
}

/**
 * The watch a request asks for, and what is then trained on: with no `validation` a seeded tenth of the retained set is withheld; a set whose accuracy may
 * rise by so much only, as it was forgotten earlier, is forgotten once more beside the forget set.
 * @throws badInput BUDGET_FORM, LIMIT_FORM, LIMIT_UNKNOWN, GOAL_NEEDS_VALIDATION, STOP_WHEN, STOP_NEEDS_TEST, MIN_FORGETTING
 */
export function guardOf(request: GuardRequest, sets: Sets, options: UnlearnOptions) {
  const budget = request.budget === undefined ? undefined : parseBudget(request.budget);
  const also = sets.also ?? {};
  const limits = Object.entries(request.limits ?? {}).map(([name, text]) => {
    if (!Object.hasOwn(also, name))
      throw badInput("LIMIT_UNKNOWN", `the limit of ${name} has no set; give it with --also ${name}=FILE.`);
    return parseLimit(name, text);
  });
  const stopWhen = (request.stopWhen ?? []).map((text) => parseStopCondition(text, Object.keys(also)));
  if (!sets.test && stopWhen.some((one) => figuresOf(one).includes("testAccuracy")))
    throw badInput("STOP_NEEDS_TEST", "a condition on testAccuracy needs --test; or use validationAccuracy.");
  refuseAccuracies(sets, budget, limits.length + stopWhen.length > 0 || (!budget && options.lr === "auto"));
  const minForgetting = parseForgetting(request.minForgetting ?? 1);
  const needed = budget !== undefined || limits.length > 0 || stopWhen.length > 0 || options.lr === "auto";
  if (!needed) return { forget: sets.forget, retain: sets.retain, watch: undefined };
  if (request.goal === "unseen" && !sets.validation)
    throw badInput(
      "GOAL_NEEDS_VALIDATION",
      "the goal unseen compares with data the model never saw; give it with --validation.",
    );
  const split = sets.validation
    ? { train: sets.retain, withheld: sets.validation }
    : withhold(sets.retain, WITHHELD, options.seed);
  const watch: Watch = {
    validation: split.withheld,
    forget: sets.forget,
    minForgetting,
    goal: goalFor(request, sets),
    also,
    limits,
    stopWhen,
    ...(budget ? { budget } : {}),
    ...(sets.test ? { test: sets.test } : {}),
  };
  return {
    // What may not come back is held down by training, not by chance: new answers for some samples are old ones for others.
    forget: join([sets.forget, ...limits.filter(({ change }) => change > 0).map(({ name }) => also[name]!)]),
    retain: split.train,
    watch,
  };
}

/** A file's utility and forgetting against the shipped file's, both run in ONNX Runtime. */
export interface FileCheck {
  /** Utility lost on V, in the budget's unit (accuracy without one); negative where it grew. */
  readonly spent: number;
  /** Of `spent`, paired by sample, 95 %. */
  readonly interval: { readonly lower: number; readonly upper: number };
  readonly within: boolean;
  readonly forgets: boolean;
  readonly also: Readonly<Record<string, { readonly before: number; readonly after: number }>>;
}

const utilityOf = (set: Scored): Utility => {
  const { accuracy, loss } = columnsOf(set);
  const unknown = new Float64Array(set.count).fill(Number.NaN);
  return { right: accuracy ?? unknown, losses: loss ?? unknown };
};
const mean = (values: ArrayLike<number>) => Array.from(values).reduce((sum, v) => sum + v, 0) / values.length;

/** Holds a written file to the watch. */
export function checkFile(watch: Watch, before: ModelAnswers, after: ModelAnswers): FileCheck {
  const unit: Pick<Budget, "unit"> = watch.budget ?? { unit: unitOf(watch.validation) };
  const [v0, v1] = [utilityOf(before.validation!), utilityOf(after.validation!)];
  const [f0, f1] = [utilityOf(before.forget), utilityOf(after.forget)];
  const also = Object.fromEntries(
    Object.keys(before.also).map((name) => [
      name,
      { before: mean(utilityOf(before.also[name]!).right), after: mean(utilityOf(after.also[name]!).right) },
    ]),
  );
  const spent = spentOf(unit, v0, v1);
  const kept = watch.limits.every(({ name, change }) => {
    const moved = also[name]!.after - also[name]!.before;
    return change < 0 ? moved >= change - 1e-9 : moved <= change + 1e-9;
  });
  const figures = ({ right, losses }: Utility) => ({ accuracy: mean(right), loss: mean(losses) });
  return {
    spent,
    interval: pairedInterval(unit, v0, v1),
    within: kept && (watch.budget === undefined || isWithin(watch.budget, spent)),
    forgets: forgetsEnough(
      figures(f0),
      figures(f1),
      watch.minForgetting,
      targetOf(watch.goal, mean(v0.right)),
    ),
    also,
  };
}

/** What a run that found nothing came closest with. */
export interface ClosestMiss {
  /** Utility lost and accuracy on the forget set, as measured on the running weights. */
  readonly step: number;
  readonly spent: number;
  /** NaN for a regression. */
  readonly forgetAccuracy: number;
  readonly forgetLoss: number;
  readonly within: boolean;
  readonly forgets: boolean;
}

/** Nothing may be exported: exit 1, with the closest miss. */
export class BudgetError extends OnnxUnlearnError {
  readonly closest: ClosestMiss | null;
  readonly checks: readonly WatchFigures[];

  constructor(message: string, closest: ClosestMiss | null, checks: readonly WatchFigures[]) {
    super("BUDGET", message, 1);
    this.closest = closest;
    this.checks = checks;
  }
}

/** Among the looks that failed: of those within the budget the one that forgot most, else the one that overspent least. */
export function closestMiss(checks: readonly WatchFigures[]): ClosestMiss | null {
  const finite = checks.filter((check) => Number.isFinite(check.spent) && Number.isFinite(check.forgetLoss));
  const within = finite.filter((check) => check.within);
  const best =
    within.length > 0
      ? within.reduce((a, b) => (forgotMore(b, a) ? b : a))
      : finite.length > 0
        ? finite.reduce((a, b) => (b.spent < a.spent ? b : a))
        : undefined;
  if (!best) return null;
  const { step, spent, forgetAccuracy, forgetLoss, forgets } = best;
  return { step, spent, forgetAccuracy, forgetLoss, within: best.within, forgets };
}

/** By accuracy; a regression, which has none (NaN), by its error. */
const forgotMore = (a: WatchFigures, b: WatchFigures): boolean =>
  Number.isNaN(a.forgetAccuracy) ? a.forgetLoss > b.forgetLoss : a.forgetAccuracy < b.forgetAccuracy;
