import { badInput, OnnxUnlearnError } from "../../converters/errors.ts";
import { join } from "../data/dataset.ts";
import type { Sets } from "../data/sets.ts";
import { columnsOf } from "../evaluate/columns.ts";
import type { ModelAnswers } from "../evaluate/comparison.ts";
import {
  type Budget,
  isWithin,
  pairedInterval,
  parseBudget,
  refuseUnit,
  spentOf,
  unitOf,
} from "../unlearn/budget.ts";
import { figuresOf, parseStopCondition } from "../unlearn/conditions.ts";
import { forbidsRise, isWithinLimit, parseLimit } from "../unlearn/limits.ts";
import { measureOf } from "../unlearn/metrics.ts";
import type { GuardOptions } from "../unlearn/option-table.ts";
import type { Goal, UnlearnOptions, WatchFigures } from "../unlearn/types.ts";
import { goalOf, withhold } from "../unlearn/validation.ts";
import { type Forgetting, forgetsEnough, targetOf, type Watch } from "../unlearn/watch.ts";

/** What a run is held to, in the user's words (docs/method.md, "Budgets"). */
export type GuardRequest = GuardOptions;

/**
 * Share of the retained set that is kept out of training where a run needs validation data and none was
 * given.
 */
const WITHHELD = 0.1;

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

/** A task is held to what it can lose. @throws badInput BUDGET_UNIT, NO_ACCURACY */
function refuseAccuracies({ forget: { task } }: Sets, budget: Budget | undefined, needsThem: boolean): void {
  if (budget) refuseUnit(budget, task);
  if (needsThem && !task.units.includes("accuracy"))
    throw badInput(
      "NO_ACCURACY",
      `limits, stop conditions and the range test of the learning rate auto compare accuracies, and ${task.noun} has none; use a budget.`,
    );
}

/**
 * The watch a request asks for, and what is then trained on: with no `validation` a seeded tenth of the
 * retained set is withheld; a set whose accuracy may
 * rise by so much only, as it was forgotten earlier, is forgotten once more beside the forget set.
 * @throws badInput BUDGET_FORM, LIMIT_FORM, LIMIT_UNKNOWN, GOAL_NEEDS_VALIDATION, STOP_WHEN, STOP_NEEDS_TEST,
 *   MIN_FORGETTING
 */
export function guardOf(request: GuardRequest, sets: Sets, options: UnlearnOptions) {
  const budget = request.budget === undefined ? undefined : parseBudget(request.budget);
  const also = sets.also ?? {};
  const limits = Object.entries(request.limits ?? {}).map(([name, text]) => {
    if (!Object.hasOwn(also, name))
      throw badInput("LIMIT_UNKNOWN", `the limit of ${name} has no set; give a further set of this name.`);
    return parseLimit(name, text);
  });
  const stopWhen = (request.stopWhen ?? []).map((text) => parseStopCondition(text, Object.keys(also)));
  if (!sets.test && stopWhen.some((one) => figuresOf(one).includes("testAccuracy")))
    throw badInput(
      "STOP_NEEDS_TEST",
      "a condition on testAccuracy needs a test set; give one, or use validationAccuracy.",
    );
  refuseAccuracies(sets, budget, limits.length + stopWhen.length > 0 || (!budget && options.lr === "auto"));
  const minForgetting = parseForgetting(request.minForgetting ?? 1);
  const needed = budget !== undefined || limits.length > 0 || stopWhen.length > 0 || options.lr === "auto";
  if (!needed) return { forget: sets.forget, retain: sets.retain, watch: undefined };
  if (request.goal === "unseen" && !sets.validation)
    throw badInput(
      "GOAL_NEEDS_VALIDATION",
      "the goal unseen compares with data the model never saw; give it as validation data.",
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
    // What may not come back is held down by training, not by chance: new answers for some samples are old
    // ones for others.
    forget: join([sets.forget, ...limits.filter(forbidsRise).map(({ name }) => also[name]!)]),
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

/** Holds a written file to the watch. */
export function checkFile(watch: Watch, before: ModelAnswers, after: ModelAnswers): FileCheck {
  const unit: Pick<Budget, "unit"> = watch.budget ?? { unit: unitOf(watch.validation) };
  const of = (set: ModelAnswers["forget"]) => measureOf(columnsOf(set));
  const [v0, v1] = [of(before.validation!), of(after.validation!)];
  const also = Object.fromEntries(
    Object.keys(before.also).map((name) => [
      name,
      { before: of(before.also[name]!).accuracy, after: of(after.also[name]!).accuracy },
    ]),
  );
  const spent = spentOf(unit, v0, v1);
  const kept = watch.limits.every((limit) => {
    const { before: was, after: is } = also[limit.name]!;
    return isWithinLimit(limit, was, is);
  });
  return {
    spent,
    interval: pairedInterval(unit, v0, v1),
    within: kept && (watch.budget === undefined || isWithin(watch.budget, spent)),
    forgets: forgetsEnough(
      of(before.forget),
      of(after.forget),
      watch.minForgetting,
      targetOf(watch.goal, v0.accuracy),
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

/**
 * Among the looks that failed: of those within the budget the one that forgot most, else the one that
 * overspent least.
 */
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
