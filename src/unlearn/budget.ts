import { badInput } from "../../converters/errors.ts";
import type { Dataset } from "../data/types.ts";
import { mean } from "../tasks/numbers.ts";
import type { BudgetUnit, Task } from "../tasks/task.ts";

/** The total utility that may be lost on validation data (docs/method.md, "Budgets"). */
export interface Budget {
  /** A share of the samples (0.005 is half a point), or mean loss. */
  readonly amount: number;
  readonly unit: BudgetUnit;
}

/** What a set's utility is counted in where no budget says so. */
export const unitOf = ({ task }: Dataset): BudgetUnit => task.units[0];

/** What utility is measured by: per sample, so that two models can be compared pair by pair. */
export interface Utility {
  readonly right: ArrayLike<number>;
  readonly losses: ArrayLike<number>;
}

/** How a budget in each unit is written: the suffix, and an example in a sentence. */
const FORMS: { readonly [U in BudgetUnit]: { readonly suffix: string; readonly example: string } } = {
  accuracy: { suffix: "pp", example: "points of accuracy (0.5pp)" },
  nats: { suffix: "nats", example: "loss (0.02nats)" },
  "squared error": { suffix: "mse", example: "mean squared error (0.02mse)" },
};
const UNITS = Object.keys(FORMS) as BudgetUnit[];
const examples = (units: readonly BudgetUnit[]) => units.map((unit) => FORMS[unit].example).join(" or ");

/**
 * `0.5pp`: half a point of accuracy; `0.02nats`: of mean loss; `0.02mse`: of mean squared error.
 * @throws badInput BUDGET_FORM
 */
export function parseBudget(text: string): Budget {
  const [, amount, suffix] = /^\s*([0-9.]+)\s*([a-z]+)\s*$/.exec(text) ?? [];
  const unit = UNITS.find((known) => FORMS[known].suffix === suffix);
  const value = Number(amount);
  if (unit === undefined || !Number.isFinite(value))
    throw badInput(
      "BUDGET_FORM",
      `the budget "${text}" cannot be read; write the allowed loss of utility as ${examples(UNITS)}.`,
    );
  return { amount: unit === "accuracy" ? value / 100 : value, unit };
}

/** @throws badInput BUDGET_UNIT where a task has no such utility to lose */
export function refuseUnit({ unit }: Budget, { noun, units }: Task): void {
  if (!units.includes(unit))
    throw badInput(
      "BUDGET_UNIT",
      `the budget is in ${unit}, which ${noun} does not have; write it as ${examples(units)}.`,
    );
}

/** Float noise only: an accuracy is a count of samples. */
const SLACK = 1e-9;

/** Utility lost from `before` to `after`, in the budget's unit; negative where it grew. */
export const spentOf = ({ unit }: Pick<Budget, "unit">, before: Utility, after: Utility): number =>
  unit === "accuracy" ? mean(before.right) - mean(after.right) : mean(after.losses) - mean(before.losses);

export const isWithin = (budget: Budget, spent: number): boolean => spent <= budget.amount + SLACK;

/**
 * What one wrong sample costs the start model on average, in nats: at least log 2, the loss of a coin's toss.
 */
export function wrongCosts(start: Utility): number {
  let [sum, wrong] = [0, 0];
  for (let i = 0; i < start.losses.length; i++)
    if (start.right[i]! < 0.5) {
      sum += start.losses[i]!;
      wrong++;
    }
  return Math.max(Math.LN2, wrong === 0 ? 0 : sum / wrong);
}

/** The budget in nats, which only steers: an accuracy budget times what one wrong sample costs. */
export const natsOf = (budget: Budget, start: Utility): number =>
  budget.unit === "accuracy" ? budget.amount * wrongCosts(start) : budget.amount;

/**
 * ε_t = (B − S) / steps left (docs/method.md, "Budgets") in the log-ratio units of the surgery: the log of
 * the loss that is allowed at the end over the loss now, spread over the steps left.
 */
export const budgetEpsilon = (lossAllowed: number, nowLoss: number, stepsLeft: number): number =>
  (Math.log(lossAllowed + 1e-8) - Math.log(nowLoss + 1e-8)) / Math.max(1, stepsLeft);

/**
 * 95 % confidence interval of the utility lost, paired by sample: mean of the differences ± 1.96 standard
 * errors. For accuracies half a sample is added to each of the four cells first (Agresti & Min, Statistics in
 * Medicine 2005), so that no change at all still has a width.
 */
export function pairedInterval(
  { unit }: Pick<Budget, "unit">,
  before: Utility,
  after: Utility,
): { readonly lower: number; readonly upper: number } {
  const accuracy = unit === "accuracy";
  let [sum, squares] = [0, accuracy ? 1 : 0];
  for (let i = 0; i < before.right.length; i++) {
    const d = accuracy ? before.right[i]! - after.right[i]! : after.losses[i]! - before.losses[i]!;
    sum += d;
    squares += d * d;
  }
  const n = before.right.length + (accuracy ? 2 : 0);
  const half = (1.96 * Math.sqrt(Math.max(0, squares - (sum * sum) / n))) / n;
  return { lower: sum / n - half, upper: sum / n + half };
}
