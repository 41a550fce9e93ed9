/** Rates tried by `--lr auto`, from the smallest: powers of √10. AdamW moves every weight by about its rate, so its are smaller. */
export const rangeOf = (optimizer: "sgd" | "adamw"): readonly number[] =>
  [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1].map((lr) => (optimizer === "adamw" ? lr / 10 : lr));

/** Steps of one trial: a quarter of the run, so that what a rate does shows, yet a trial stays short. */
export const trialSteps = (steps: number): number => Math.max(1, Math.min(40, Math.ceil(steps / 4)));

/** Accuracies, fractions. */
export interface Look {
  readonly forget: number;
  readonly retain: number;
  readonly validation: number;
}

/** Utility lost and forgetting missed, of one look at a trial. */
export interface Score {
  readonly utility: number;
  readonly forgetting: number;
}

/**
 * How good a trial is, smaller is better (METHOD section 5, blind to Retrain): |RA change| + |V change|, the worst of its looks, and the distance of the
 * forget accuracy from its target at the last one. The target is the start's validation accuracy for data that should look unseen, 0 for data that
 * should be gone.
 */
export function scoreOf(look: Look, start: Look, target: number, before: Score | undefined): Score {
  const lost = Math.abs(look.retain - start.retain) + Math.abs(look.validation - start.validation);
  return {
    utility: Math.max(before?.utility ?? 0, Number.isFinite(lost) ? lost : Number.POSITIVE_INFINITY),
    forgetting: Math.abs(look.forget - target),
  };
}

export const totalOf = ({ utility, forgetting }: Score): number => utility + forgetting;
