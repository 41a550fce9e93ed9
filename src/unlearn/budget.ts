import { badInput } from "../../converters/errors.ts";
import type { Dataset } from "../data/types.ts";
import { mean } from "../tasks/numbers.ts";
import type { BudgetUnit, Task } from "../tasks/task.ts";

/** The total utility that may be lost on validation data (docs/method.md, "Budgets"). */
export interface Budget {
  /** A fraction of the samples (0.005 is half a point of accuracy), or an amount of mean loss. */
  readonly amount: number;
  readonly unit: BudgetUnit;
}

/** Unit of a set's utility where no budget states one. */
export const unitOf = ({ task }: Dataset): BudgetUnit => task.units[0];

/** Utility per sample (share of labels that are right, and loss), so that models can be compared in pairs. */
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
 * Reads `0.5pp` (half a point of accuracy), `0.02nats` (of mean loss) or `0.02mse` (of mean squared error).
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

/** @throws badInput BUDGET_UNIT where the task's utility is not measured in the budget's unit */
export function refuseUnit({ unit }: Budget, { noun, units }: Task): void {
  if (!units.includes(unit))
    throw badInput(
      "BUDGET_UNIT",
      `the budget is in ${unit}, which ${noun} does not have; write it as ${examples(units)}.`,
    );
}

/** Tolerance for rounding; far less than one sample of any set. */
const SLACK = 1e-9;

/** Utility lost from `before` to `after`, in the budget's unit; negative where it grew. */
export const spentOf = ({ unit }: Pick<Budget, "unit">, before: Utility, after: Utility): number =>
  unit === "accuracy" ? mean(before.right) - mean(after.right) : mean(after.losses) - mean(before.losses);

export const isWithin = (budget: Budget, spent: number): boolean => spent <= budget.amount + SLACK;

/** Mean loss of the samples that the start model gets wrong, nats; at least log 2, the loss at p_y = ½. */
export function wrongCosts(start: Utility): number {
  let [sum, wrong] = [0, 0];
  for (let i = 0; i < start.losses.length; i++)
    if (start.right[i]! < 0.5) {
      sum += start.losses[i]!;
      wrong++;
    }
  return Math.max(Math.LN2, wrong === 0 ? 0 : sum / wrong);
}

/**
 * The budget in nats, for steering a run: an accuracy budget is converted by the mean loss of a wrong sample.
 */
export const natsOf = (budget: Budget, start: Utility): number =>
  budget.unit === "accuracy" ? budget.amount * wrongCosts(start) : budget.amount;

/**
 * ε_t = (B − S) / steps left (docs/method.md, "Budgets"), as a log ratio: log(loss allowed at the end / loss
 * now), spread over the steps left.
 */
export const budgetEpsilon = (lossAllowed: number, nowLoss: number, stepsLeft: number): number =>
  (Math.log(lossAllowed + 1e-8) - Math.log(nowLoss + 1e-8)) / Math.max(1, stepsLeft);

/**
 * 95 % confidence interval of the utility lost, paired by sample: mean of the differences ± 1.96 standard
 * errors. For accuracies, half a sample is first added to each cell of the 2×2 table of right and wrong
 * (Agresti & Min, Statistics in Medicine 2005), so the interval has a width even where no sample changed.
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
