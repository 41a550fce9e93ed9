import type { Draw } from "./batches.ts";
import type { Session } from "./session.ts";
import type { Goal } from "./types.ts";

/**
 * Rates tried by the range test, from the smallest: powers of √10. AdamW moves every weight by about its
 * rate, so its are smaller.
 */
const rangeOf = (optimizer: "sgd" | "adamw"): readonly number[] =>
  [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1].map((lr) => (optimizer === "adamw" ? lr / 10 : lr));

/** What a run under a budget begins with; from there its pace finds the rate. */
export const FIRST_RATE = 1e-3;

/** Steps of one trial: a quarter of the run, so that what a rate does shows, yet a trial stays short. */
const trialSteps = (steps: number): number => Math.max(1, Math.min(40, Math.ceil(steps / 4)));

/** Accuracies, fractions. */
export interface Look {
  readonly forget: number;
  readonly retain: number;
  readonly validation: number;
}

/** A score that is worse by less says nothing: a point of accuracy. */
const NOISE = 0.01;

/** Utility lost and forgetting missed, of one look at a trial. */
interface Score {
  readonly utility: number;
  readonly forgetting: number;
}

/**
 * How good a trial is, smaller is better (docs/method.md, "How unlearning is judged"; no retrained model is
 * looked at): utility lost on retained and validation data, the worst of its looks, and the forget accuracy
 * still above its target at the last one. Data that should look unseen: the target is the start's validation
 * accuracy, and any change of utility counts, |RA change| + |V change|. Data that should be gone: the target
 * is 0, and getting better is no loss.
 */
function scoreOf(look: Look, start: Look, target: number, goal: Goal, before: Score | undefined): Score {
  const cost = goal === "unseen" ? Math.abs : (drop: number) => Math.max(0, drop);
  const lost = cost(start.retain - look.retain) + cost(start.validation - look.validation);
  return {
    utility: Math.max(before?.utility ?? 0, Number.isFinite(lost) ? lost : Number.POSITIVE_INFINITY),
    forgetting: Math.max(0, look.forget - target),
  };
}

const totalOf = ({ utility, forgetting }: Score): number => utility + forgetting;

/**
 * The range test of the learning rate `auto`: from the smallest rate up, a short run each from the start,
 * until two in a row did worse than the best so far. The session is left at the start.
 * @param look accuracies of any weights
 * @param drawing the same draws anew for every trial
 */
export async function searchRate(
  session: Session,
  look: (weights: ReturnType<Session["weightsOf"]>) => Promise<Look>,
  drawing: () => Draw,
  {
    steps,
    target,
    goal,
    epsilon,
    optimizer,
  }: {
    readonly steps: number;
    readonly target: number;
    readonly goal: Goal;
    readonly epsilon: number;
    readonly optimizer: "sgd" | "adamw";
  },
): Promise<number> {
  const count = trialSteps(steps);
  const before = await look(session.start);
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
        // Utility at its worst, forgetting at the end: a rate that recovers from its first steps is too high.
        if (taken === Math.ceil(count / 2) || taken === count)
          score = scoreOf(await look(session.weightsOf(await session.read())), before, target, goal, score);
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
