import type { EpsilonSchedule, LearningRateSchedule } from "./option-table.ts";

const cosine = (share: number) => (1 + Math.cos(Math.PI * share)) / 2;

/**
 * Learning rate of step 0…steps−1: rises linearly over the first `warmup` share of the run, then is constant
 * or falls to 0 along half a cosine.
 */
export function learningRateAt(
  lr: number,
  { schedule = "constant", warmup = 0 }: { schedule?: LearningRateSchedule; warmup?: number },
  step: number,
  steps: number,
): number {
  const rising = Math.round(warmup * steps);
  if (step < rising) return (lr * (step + 1)) / (rising + 1);
  return schedule === "constant" ? lr : lr * cosine((step - rising) / Math.max(1, steps - rising));
}

/** ε_t of step 0…steps−1: constant, or from ε to 0 linearly or along half a cosine. */
export const epsilonAt = (epsilon: number, schedule: EpsilonSchedule, step: number, steps: number): number =>
  schedule === "constant"
    ? epsilon
    : schedule === "linear"
      ? epsilon * (1 - step / steps)
      : epsilon * cosine(step / steps);
