import type { Draw } from "./batches.ts";
import type { Session } from "./session.ts";

/** Rates tried by `--lr auto`, from the smallest: powers of √10. AdamW moves every weight by about its rate, so its are smaller. */
const rangeOf = (optimizer: "sgd" | "adamw"): readonly number[] =>
  [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1].map((lr) => (optimizer === "adamw" ? lr / 10 : lr));

/** Steps of one trial: a quarter of the run, so that what a rate does shows, yet a trial stays short. */
const trialSteps = (steps: number): number => Math.max(1, Math.min(40, Math.ceil(steps / 4)));

/** Accuracies, fractions. */
export interface Look {
  readonly forget: number;
  readonly retain: number;
  readonly validation: number;
}

/** Utility lost and forgetting missed, of one look at a trial. */
interface Score {
  readonly utility: number;
  readonly forgetting: number;
}

/**
 * How good a trial is, smaller is better (METHOD section 5, blind to Retrain): |RA change| + |V change|, the worst of its looks, and the distance of the
 * forget accuracy from its target at the last one. The target is the start's validation accuracy for data that should look unseen, 0 for data that
 * should be gone.
 */
function scoreOf(look: Look, start: Look, target: number, before: Score | undefined): Score {
  const lost = Math.abs(look.retain - start.retain) + Math.abs(look.validation - start.validation);
  return {
    utility: Math.max(before?.utility ?? 0, Number.isFinite(lost) ? lost : Number.POSITIVE_INFINITY),
    forgetting: Math.abs(look.forget - target),
  };
}

const totalOf = ({ utility, forgetting }: Score): number => utility + forgetting;

/**
 * The range test of `--lr auto`: from the smallest rate up, a short run each from the start, until two in a row did worse than the best so far.
 * The session is left at the start.
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
    epsilon,
    optimizer,
  }: {
    readonly steps: number;
    readonly target: number;
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
        // Utility at its worst, forgetting at the end: a rate that only recovers from its first steps is too high.
        if (taken === Math.ceil(count / 2) || taken === count)
          score = scoreOf(await look(session.weightsOf(await session.read())), before, target, score);
      }
    }
    return totalOf(score!);
  };
  const rates = rangeOf(optimizer);
  let best = { lr: rates[0]!, score: Number.POSITIVE_INFINITY };
  let worse = 0;
  for (const lr of rates) {
    const score = await trial(lr);
    worse = score > best.score ? worse + 1 : 0;
    if (score <= best.score) best = { lr, score };
    if (worse === 2) break;
  }
  await session.write(session.startState);
  return best.lr;
}
