import { budgetEpsilon } from "./budget.ts";
import { startPacing } from "./pace.ts";
import { epsilonAt } from "./schedule.ts";
import type { Session } from "./session.ts";
import type { Candidate, UnlearnOptions, WatchFigures } from "./types.ts";
import { forgetsMore, type Watch, type Watching } from "./watch.ts";

/** Times per run that the watched sets are measured. */
const MEASUREMENTS = 24;
/** States that are held for export: rounding there may break the budget of the first one. */
const CANDIDATES = 4;

/** Whether a run is held to a budget or to limits, so that it may go back to an earlier state. */
export const isHeld = (watch: Watch | undefined): boolean =>
  watch !== undefined && (watch.budget !== undefined || watch.limits.length > 0);

/**
 * Steers a run by what its watched sets say, and collects the states that may be exported.
 * @param watched undefined for a run without a watch: ε_t follows its schedule
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
  // Where a run that breaks its budget goes back to: the last state with room left.
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
      // Back to the last state with room, without the momentum that led out of it.
      else if (pace.broke() || !whole) await session.write(session.atRest(good));
    }
    return figures;
  };

  return {
    /** ε_t of the step after so many. */
    epsilon: (done: number): number =>
      watched && budget
        ? budgetEpsilon(watched.watching.lossAllowed, validationLoss, steps - done) +
          pace.caution() * Math.min(0, options.epsilon)
        : epsilonAt(options.epsilon, options.epsilonSchedule ?? "constant", done, steps),
    /** A factor on the learning rate of the next step. */
    rate: pace.rate,
    /**
     * Measures the watched sets where it is time to, or where a loss is not finite; goes back to an earlier
     * state if need be.
     * @returns what they say, undefined where they were not measured, and whether the run ends here
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
