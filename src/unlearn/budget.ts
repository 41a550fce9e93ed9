import { badInput } from "../../converters/errors.ts";
import type { Dataset } from "../data/types.ts";

/** The total utility that may be lost on validation data (METHOD section 6). */
export interface Budget {
  /** A share of the samples (0.005 is half a point), or mean loss: nats, of a regression squared error. */
  readonly amount: number;
  readonly unit: "accuracy" | "nats" | "squared error";
}

/** What a set's utility is counted in where no budget says so. */
export const unitOf = ({ targets }: Dataset): Budget["unit"] =>
  targets?.kind === "regression" ? "squared error" : "accuracy";

/** What utility is measured by: per sample, so that two models can be compared pair by pair. */
export interface Utility {
  readonly right: ArrayLike<number>;
  readonly losses: ArrayLike<number>;
}

const mean = (values: ArrayLike<number>) => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
};

/** `0.5pp`: half a point of accuracy; `0.02nats`: of mean loss; `0.02mse`: of mean squared error. @throws badInput BUDGET_FORM */
export function parseBudget(text: string): Budget {
  const [, amount, unit] = /^\s*([0-9.]+)\s*(pp|nats|mse)\s*$/.exec(text) ?? [];
  const value = Number(amount);
  if (amount === undefined || !Number.isFinite(value))
    throw badInput(
      "BUDGET_FORM",
      `the budget "${text}" cannot be read; write the allowed loss of utility as points of accuracy (0.5pp) or as loss (0.02nats; 0.02mse for a regression).`,
    );
  if (unit === "pp") return { amount: value / 100, unit: "accuracy" };
  return { amount: value, unit: unit === "nats" ? "nats" : "squared error" };
}

/** Float noise only: an accuracy is a count of samples. */
const SLACK = 1e-9;

/** Utility lost from `before` to `after`, in the budget's unit; negative where it grew. */
export const spentOf = ({ unit }: Pick<Budget, "unit">, before: Utility, after: Utility): number =>
  unit === "accuracy" ? mean(before.right) - mean(after.right) : mean(after.losses) - mean(before.losses);

export const isWithin = (budget: Budget, spent: number): boolean => spent <= budget.amount + SLACK;

/** What one wrong sample costs the start model on average, in nats: log 2, the loss of a coin's toss, at least. */
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
 * ε_t = (B − S) / steps left (METHOD section 6) in the log-ratio units of the surgery: the log of the loss that is allowed at the end over
 * the loss now, spread over the steps left.
 */
export const budgetEpsilon = (lossAllowed: number, nowLoss: number, stepsLeft: number): number =>
  (Math.log(lossAllowed + 1e-8) - Math.log(nowLoss + 1e-8)) / Math.max(1, stepsLeft);

/**
 * 95 % confidence interval of the utility lost, paired by sample: mean of the differences ± 1.96 standard errors. For accuracies half a sample
 * is added to each of the four cells first (Agresti & Min, Statistics in Medicine 2005), so that no change at all still has a width.
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
