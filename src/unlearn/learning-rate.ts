import type { Goal } from "./types.ts";

/** Rates tried by `--lr auto`, from the smallest: powers of √10. AdamW moves every weight by about its rate, so its are smaller. */
export const rangeOf = (optimizer: "sgd" | "adamw"): readonly number[] =>
  [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1].map((lr) => (optimizer === "adamw" ? lr / 10 : lr));

/** Steps of one trial: a quarter of the run, so that what a rate does shows, yet a trial stays short. */
export const trialSteps = (steps: number): number => Math.max(1, Math.min(40, Math.ceil(steps / 4)));

/** Accuracies of one trial, fractions. */
export interface Trial {
  readonly lr: number;
  readonly forget: number;
  readonly retain: number;
  readonly validation: number;
}

/**
 * How good a trial is, smaller is better (METHOD section 5, blind to Retrain): |RA change| + |V change| + the distance of the forget accuracy from its goal, which is
 * the start's validation accuracy for data that should look unseen, and 0 for data that should be gone.
 */
export const scoreOf = (trial: Trial, start: Omit<Trial, "lr">, goal: Goal): number =>
  Number.isFinite(trial.forget + trial.retain + trial.validation)
    ? Math.abs(trial.retain - start.retain) +
      Math.abs(trial.validation - start.validation) +
      Math.abs(trial.forget - (goal === "unseen" ? start.validation : 0))
    : Number.POSITIVE_INFINITY;
