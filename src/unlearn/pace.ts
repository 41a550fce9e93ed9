/**
 * Factors on the learning rate after a measurement within the budget: below the first rate, and above it (at
 * most 1.15²⁴ ≈ 30 in a run of 24 measurements).
 */
const RECOVERY = 1.5;
const GROWTH = 1.15;
/** Factors on caution: if only the loss exceeds its allowance, if the budget itself is broken, if neither. */
const CAUTION = { overspent: 1.5, broken: 2, within: 1 / 1.5 };
/** Bounds of caution. With ε = −0.01 and the rule `adam`, λ then settles between 0.03 and 100. */
const BOUNDS = [1 / 32, 100] as const;

/** After this many measurements in a row that break the budget, the run goes back to an earlier state. */
const PATIENCE = 3;

/**
 * Adapts two factors of a run with a budget after each measurement.
 *
 * `rate` multiplies the learning rate: it rises after a measurement within the budget and falls after one
 * that breaks it, further each time the run goes back again.
 *
 * `caution` multiplies the option `epsilon` where that is negative; the product is added to the ε_t that
 * follows from the budget. The latter alone, spread over all steps, is too small against the noise between
 * batches for λ to follow.
 * @param adaptive whether the rate may grow beyond its first value, as in a trust region, so that the first
 *   value need not fit the model; else the first value is the largest
 */
export function startPacing(adaptive: boolean) {
  let rate = 1;
  let caution = 1;
  let inARow = 0;
  const careful = (factor: number) => {
    caution = Math.min(BOUNDS[1], Math.max(BOUNDS[0], caution * factor));
  };
  return {
    rate: () => rate,
    caution: () => caution,
    /**
     * Call after a measurement within the budget.
     * @param unspent whether the validation loss is within its allowance too
     * @param arrived whether the forget accuracy has reached its target
     */
    within(unspent: boolean, arrived: boolean) {
      inARow = 0;
      if (rate < 1) rate = Math.min(1, rate * RECOVERY);
      else if (adaptive && unspent && !arrived) rate *= GROWTH;
      careful(unspent ? CAUTION.within : CAUTION.overspent);
    },
    /** Call if only a limit against a rise is broken: that takes more forgetting, so less caution. */
    cameBack() {
      inARow = 0;
      careful(CAUTION.within);
    },
    /**
     * Call if the budget is broken.
     * @returns whether to go back, as several measurements in a row broke it
     */
    broke(): boolean {
      inARow++;
      const back = inARow % PATIENCE === 0;
      rate *= 0.5 ** (back ? inARow / PATIENCE : 1);
      careful(CAUTION.broken);
      return back;
    },
  };
}
