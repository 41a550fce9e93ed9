import { budgetEpsilon } from "./budget.ts";
import { startPacing } from "./pace.ts";
import { epsilonAt } from "./schedule.ts";
import type { Session } from "./session.ts";
import type { Candidate, UnlearnOptions, WatchFigures } from "./types.ts";
import { forgetsMore, type Watch, type Watching } from "./watch.ts";

/** How often the watched sets are measured in a run. */
const MEASUREMENTS = 24;
/**
 * How many states are kept for export, as rounding to the file's types may take the first over its budget.
 */
const CANDIDATES = 4;

/** Whether a run has a budget or limits; such a run may go back to an earlier state. */
export const isHeld = (watch: Watch | undefined): boolean =>
  watch !== undefined && (watch.budget !== undefined || watch.limits.length > 0);

/**
 * Steers a run by measurements of its watched sets, and collects the states that may be exported.
 * @param watched undefined for a run that watches nothing; its ε_t follows the schedule
 */
export function supervise(
  session: Session,
  options: UnlearnOptions,
  steps: number,
  watched: { readonly watch: Watch; readonly watching: Watching } | undefined,
) {
  const budget = watched?.watch.budget;
  const held = isHeld(watched?.watch);
  const every = Math.max(1, Math.ceil(steps / MEASUREMENTS));
  const checks: WatchFigures[] = [];
  const candidates: Candidate[] = [];
  const pace = startPacing(options.lr === "auto" && budget !== undefined);
  // The last state with at most half of the budget spent; a run that breaks its budget goes back to it.
  let good = session.startState;
  let validationLoss = watched?.watching.start.validation.loss ?? 0;

  const measureAfter = async (done: number, watching: Watching): Promise<WatchFigures> => {
    const state = await session.read();
    const weights = session.weightsOf(state);
    const figures = await watching.check(done, weights);
    checks.push(figures);
    const whole = Object.values(state).every((values) => values.every(Number.isFinite));
    if (figures.within && whole) {
      if (watching.clear(figures)) good = state;
      validationLoss = figures.validationLoss;
      pace.within(validationLoss <= watching.lossAllowed, watching.arrived(figures));
      if (figures.forgets) {
        candidates.unshift({ step: done, check: figures, weights: new Map(Object.entries(weights)) });
        candidates.sort((a, b) => forgetsMore(a.check!, b.check!, watching));
        candidates.splice(CANDIDATES);
      }
    } else if (held) {
      if (whole && watching.affords(figures)) pace.cameBack();
      // Without the optimizer's state, whose momentum led away from there.
      else if (pace.broke() || !whole) await session.write(session.atRest(good));
    }
    return figures;
  };

  return {
    /** ε_t of the next step, after `done` steps. */
    epsilon: (done: number): number =>
      watched && budget
        ? budgetEpsilon(watched.watching.lossAllowed, validationLoss, steps - done) +
          pace.caution() * Math.min(0, options.epsilon)
        : epsilonAt(options.epsilon, options.epsilonSchedule ?? "constant", done, steps),
    /** A factor on the learning rate of the next step. */
    rate: pace.rate,
    /**
     * Call after each step. Measures the watched sets if it is time to, or if a loss is not finite, and may
     * go back to an earlier state.
     * @returns the figures, undefined if nothing was measured, and whether the run ends here
     */
    async after(done: number, finite: boolean): Promise<{ figures?: WatchFigures; ends: boolean }> {
      if (!watched || (finite && done % every !== 0 && done !== steps)) return { ends: false };
      const figures = await measureAfter(done, watched.watching);
      return { figures, ends: figures.stop !== undefined && (!held || (figures.within && figures.forgets)) };
    },
    checks,
    /** Best first, see `forgetsMore`. */
    candidates,
  };
}
