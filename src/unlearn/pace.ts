/** How much faster a run goes after a look within its budget: back to its first rate, and beyond it (30 times in two dozen looks at most). */
const RECOVERY = 1.5;
const GROWTH = 1.15;
/** How caution grows where only the loss is overspent, and where the budget itself was broken; how it shrinks else. */
const CAUTION = { overspent: 1.5, broken: 2, within: 1 / 1.5 };
/** Bounds of caution: with the authors' ε of −0.01 and their decay of λ, a resting λ of 0.03 to 100. */
const BOUNDS = [1 / 32, 100] as const;

/** Looks in a row that may break the budget before the run goes back. */
const PATIENCE = 3;

/**
 * How fast and how carefully a run goes that is held to a budget, from look to look.
 * `rate`, a factor on the learning rate: up after a look within the budget, down after one that broke it, more each time the run had to go back in a row.
 * `adaptive`: as in a trust region the rate may also grow beyond the one it began with, so none must be known beforehand; else the given rate is the largest.
 * `caution`, a factor on the ε_t one would use without a budget: it keeps the balance between forgetting and utility where the budget, spread over all
 * steps, would be too small a signal among the noise of batches for λ to follow.
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
    /** After a look within the budget. @param unspent whether the loss has room too @param arrived whether nothing is left to forget */
    kept(unspent: boolean, arrived: boolean) {
      inARow = 0;
      if (rate < 1) rate = Math.min(1, rate * RECOVERY);
      else if (adaptive && unspent && !arrived) rate *= GROWTH;
      careful(unspent ? CAUTION.within : CAUTION.overspent);
    },
    /** After a look at which what was forgotten earlier had come back: that takes more forgetting, not more care. */
    cameBack() {
      inARow = 0;
      careful(CAUTION.within);
    },
    /** After a look that broke the budget. @returns whether to go back: more care had its chance to mend it */
    broke(): boolean {
      inARow++;
      const back = inARow % PATIENCE === 0;
      rate *= 0.5 ** (back ? inARow / PATIENCE : 1);
      careful(CAUTION.broken);
      return back;
    },
  };
}
