import type { Draw } from "../tasks/task.ts";
import type { WeightArrays } from "./forward.ts";
import type { Session } from "./session.ts";
import type { Goal, OptimizerName, UnlearnOptions } from "./types.ts";
import type { Aim } from "./watch.ts";

/**
 * Learning rates of the range test, ascending, about √10 apart. Those of AdamW are smaller, as it moves every
 * weight by about the rate in each step.
 */
const rangeOf = (optimizer: OptimizerName): readonly number[] =>
  [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1].map((lr) => (optimizer === "adamw" ? lr / 10 : lr));

/** First learning rate of a run with a budget, which then adapts it (see `startPacing`). */
export const FIRST_RATE = 1e-3;

/** Steps of one trial: a quarter of the run, at most 40. */
const trialSteps = (steps: number): number => Math.max(1, Math.min(40, Math.ceil(steps / 4)));

/** Accuracies of some weights, as fractions. */
export interface Accuracies {
  readonly forget: number;
  readonly retain: number;
  readonly validation: number;
}

/** A difference of scores below this, a point of accuracy, is noise. */
const NOISE = 0.01;

/** The score of a trial, smaller is better: the utility lost, and how far forgetting is from its target. */
interface Score {
  readonly utility: number;
  readonly forgetting: number;
}

/**
 * Scores a trial after one more measurement. Utility lost is the sum of the changes in retain and validation
 * accuracy, at the worst measurement so far; for the goal `unseen` a rise counts as well as a fall, for
 * `gone` a fall only. Forgetting is the excess of the forget accuracy over its target, at the last
 * measurement (see `targetOf`). No retrained model is involved (docs/method.md, "How unlearning is judged").
 * @param before score at the trial's previous measurement
 */
function scoreOf(
  now: Accuracies,
  start: Accuracies,
  target: number,
  goal: Goal,
  before: Score | undefined,
): Score {
  const cost = goal === "unseen" ? Math.abs : (drop: number) => Math.max(0, drop);
  const lost = cost(start.retain - now.retain) + cost(start.validation - now.validation);
  return {
    utility: Math.max(before?.utility ?? 0, Number.isFinite(lost) ? lost : Number.POSITIVE_INFINITY),
    forgetting: Math.max(0, now.forget - target),
  };
}

const totalOf = ({ utility, forgetting }: Score): number => utility + forgetting;

/**
 * The range test of the learning rate `auto`: a short run from the start for each rate, in ascending order,
 * until two in a row score worse than the best so far. Leaves the session at its start state.
 * @param measure measures any weights
 * @param drawing starts the same random draws anew for every trial
 */
export async function searchRate(
  session: Session,
  measure: (weights: WeightArrays) => Promise<Accuracies>,
  drawing: () => Draw,
  {
    steps,
    target,
    goal,
    epsilon,
    optimizer = "sgd",
  }: Pick<UnlearnOptions, "epsilon" | "optimizer"> &
    Pick<Aim, "goal" | "target"> & { readonly steps: number },
): Promise<number> {
  const count = trialSteps(steps);
  const before = await measure(session.start);
  const trial = async (lr: number): Promise<number> => {
    const draw = drawing();
    const plan = session.plan(draw);
    await session.write(session.startState);
    let taken = 0;
    let score: Score | undefined;
    for (let epoch = 0; taken < count; epoch++) {
      const targets = session.forgetTargets(draw);
      for (const samples of plan.epoch(epoch)) {
        if (taken === count) break;
        const { finite } = await session.step(samples, targets, { lr, epsilon, progress: taken / count });
        if (!finite) return Number.POSITIVE_INFINITY;
        taken++;
        // Utility counts at its worst, so a rate that breaks the model and then mends it scores badly.
        if (taken === Math.ceil(count / 2) || taken === count)
          score = scoreOf(
            await measure(session.weightsOf(await session.read())),
            before,
            target,
            goal,
            score,
          );
      }
    }
    return totalOf(score!);
  };
  const rates = rangeOf(optimizer);
  let best = { lr: rates[0]!, score: Number.POSITIVE_INFINITY };
  let worse = 0;
  for (const lr of rates) {
    const score = await trial(lr);
    worse = score > best.score + NOISE ? worse + 1 : 0;
    if (score <= best.score) best = { lr, score };
    if (worse === 2) break;
  }
  await session.write(session.startState);
  return best.lr;
}
