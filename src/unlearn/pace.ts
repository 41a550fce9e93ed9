/**
 * How much faster a run goes after a measurement within its budget: back to its first rate, and beyond it (30
 * times in two dozen measurements at most).
 */
const RECOVERY = 1.5;
const GROWTH = 1.15;
/** How caution grows where only the loss is overspent, or the budget itself was broken; how it shrinks. */
const CAUTION = { overspent: 1.5, broken: 2, within: 1 / 1.5 };
/** Bounds of caution: with the authors' ε of −0.01 and their decay of λ, it rests between 0.03 and 100. */
const BOUNDS = [1 / 32, 100] as const;

/** Measurements in a row that may break the budget before the run goes back. */
const PATIENCE = 3;

/**
 * How fast and how carefully a run goes that is held to a budget, from measurement to measurement.
 * `rate`: a factor on the learning rate; up after a measurement within the budget, down after one that broke
 * it, more each time the run had to go back in a row.
 * `caution`: a factor on the ε_t of a run without a budget; it balances forgetting against utility where the
 * budget, spread over all steps, would be too small a signal among the noise of batches for λ to follow.
 * @param adaptive as in a trust region the rate may also grow beyond the one it began with, so that none must
 *   be known before; else the given rate is the largest
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
     * The budget was kept to.
     * @param unspent whether the loss has room too
     * @param arrived whether nothing is left to forget
     */
    within(unspent: boolean, arrived: boolean) {
      inARow = 0;
      if (rate < 1) rate = Math.min(1, rate * RECOVERY);
      else if (adaptive && unspent && !arrived) rate *= GROWTH;
      careful(unspent ? CAUTION.within : CAUTION.overspent);
    },
    /** What was forgotten earlier had come back: that takes more forgetting, not more care. */
    cameBack() {
      inARow = 0;
      careful(CAUTION.within);
    },
    /** The budget was broken. @returns whether to go back, as more care had its chance to mend it */
    broke(): boolean {
      inARow++;
      const back = inARow % PATIENCE === 0;
      rate *= 0.5 ** (back ? inARow / PATIENCE : 1);
      careful(CAUTION.broken);
      return back;
    },
  };
}
