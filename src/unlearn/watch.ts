import type { Dataset } from "../data/types.ts";
import type { Draw } from "../tasks/task.ts";
import { subset } from "./batches.ts";
import { type Budget, isWithin, natsOf, spentOf, unitOf, wrongCosts } from "./budget.ts";
import { type Figures, figuresOf, isMet, type StopCondition } from "./conditions.ts";
import type { Forward, WeightArrays } from "./forward.ts";
import { forbidsRise, isWithinLimit, type Limit } from "./limits.ts";
import { type Measure, measure } from "./metrics.ts";
import type { Goal, WatchFigures } from "./types.ts";

/** Data and conditions that a run is checked against every few steps, at its current weights. */
export interface Watch {
  /** The set that every choice is made on (docs/method.md, "Budgets"). */
  readonly validation: Dataset;
  readonly budget?: Budget;
  /**
   * The samples that forgetting is measured on; by default the forget set of the run, which may hold more.
   */
  readonly forget?: Dataset;
  /** The least forgetting of an exported state, see `forgetsEnough`. */
  readonly minForgetting: Forgetting;
  readonly goal: Goal;
  /** Further sets by name, for limits and conditions. */
  readonly also: Readonly<Record<string, Dataset>>;
  readonly limits: readonly Limit[];
  readonly stopWhen: readonly StopCondition[];
  /** Measured only if a condition names it. */
  readonly test?: Dataset;
}

/**
 * During a run, large sets are measured on this many samples; the exported file is measured on all of them.
 */
const LARGEST_SAMPLE = 1000;

/** A random sample of a large set; undefined: the whole set. */
export const sampleOf = ({ count }: Dataset, draw: Draw): Int32Array | undefined =>
  count > LARGEST_SAMPLE ? Int32Array.from(subset(count, LARGEST_SAMPLE, draw)) : undefined;

/** An amount of forgetting, as a user states it. */
export interface Forgetting {
  /**
   * A fall of the forget accuracy, as a fraction, or a rise of the loss on the forget samples' own labels.
   */
  readonly amount: number;
  readonly unit: "accuracy" | "nats";
}

/**
 * The forget accuracy to reach. For the goal `unseen` it is the accuracy on validation data, which the model
 * never saw: a lower one would itself give the forget set away (docs/method.md, "How unlearning is judged").
 */
export const targetOf = (goal: Goal, validationAccuracy: number): number =>
  goal === "unseen" ? validationAccuracy : 0;

/**
 * Whether at least the given amount was forgotten. In `accuracy`: the forget accuracy fell by the amount, or
 * to its target if that is nearer. Where the accuracy cannot fall the loss decides: it rose by the amount in
 * nats, for a model that was at the target from the start, or by the amount as a share of itself, for a
 * regression. In `nats`: the forget loss rose by the amount, or the forget accuracy fell by the same number.
 * @param target forget accuracy to reach, see `targetOf`
 */
export function forgetsEnough(
  before: Pick<Measure, "accuracy" | "loss">,
  after: Pick<Measure, "accuracy" | "loss">,
  { amount, unit }: Forgetting,
  target: number,
): boolean {
  const fell = before.accuracy - after.accuracy;
  const rose = after.loss - before.loss;
  const reaches = (change: number, wanted: number) => change >= wanted - 1e-9;
  if (unit === "nats") return reaches(fell, amount) || reaches(rose, amount);
  if (Number.isNaN(fell)) return reaches(rose, amount * before.loss);
  const distance = before.accuracy - target;
  return distance > 0 ? reaches(fell, Math.min(amount, distance)) : reaches(rose, amount);
}

/** What the states of a run are compared with. */
export interface Aim {
  readonly goal: Goal;
  /** Forget accuracy to reach. */
  readonly target: number;
  readonly start: { readonly validation: Measure };
  /** Validation loss at which the whole budget is spent. */
  readonly lossAllowed: number;
  /** Loss of one wrong sample on average, in nats: converts losses to accuracies. */
  readonly wrongCosts: number;
}

/** How many points of forget accuracy one point of utility beyond the budget outweighs. */
const BEYOND = 5;

/**
 * Compares states that are all within the budget, for sorting: the one that forgets more comes first. The
 * first key is the distance of the forget accuracy from its target. The second is, for the goal `unseen`, the
 * distance of the forget loss from the start's validation loss; for `gone`, the higher forget loss or, once
 * the target is reached, the lower validation loss. Accuracies on a few hundred samples are noisy, so of two
 * dozen measurements the luckiest state would win. The validation loss is less noisy; the first key therefore
 * adds a penalty for what the loss exceeds the budget by.
 */
export function forgetsMore(
  a: WatchFigures,
  b: WatchFigures,
  { goal, target, start, lossAllowed, wrongCosts }: Aim,
): number {
  const first = ({ forgetAccuracy, validationLoss }: WatchFigures) =>
    (Number.isNaN(forgetAccuracy) ? 0 : Math.abs(forgetAccuracy - target)) +
    (BEYOND * Math.max(0, validationLoss - lossAllowed)) / wrongCosts;
  const second = ({ forgetAccuracy, forgetLoss, validationLoss }: WatchFigures) =>
    goal === "unseen"
      ? Math.abs(forgetLoss - start.validation.loss)
      : forgetAccuracy <= target
        ? validationLoss
        : -forgetLoss;
  // The state that met the condition to stop comes before all others.
  const ended = ({ stop }: WatchFigures) => Number(stop === undefined);
  return ended(a) - ended(b) || first(a) - first(b) || second(a) - second(b);
}

/** The watched sets with their figures at the start, and measurements of any weights against these. */
export interface Watching extends Aim {
  readonly start: { readonly validation: Measure; readonly forget: Measure };
  /** Whether the utility lost is within the budget, and no set with a limit against a fall fell too far. */
  readonly affords: (figures: Pick<WatchFigures, "spent" | "also">) => boolean;
  /** Whether the forget accuracy has reached its target. */
  readonly arrived: (figures: WatchFigures) => boolean;
  /** Whether at most half of the budget is spent, and the loss is allowed too: a state to go back to. */
  readonly clear: (figures: WatchFigures) => boolean;
  /** Measures weights at a step. */
  readonly check: (step: number, weights: WeightArrays) => Promise<WatchFigures>;
}

/** Measures the start once, then any weights against it. */
export async function startWatching({
  watch,
  trained,
  retain,
  forward,
  start,
  draw,
}: {
  readonly watch: Watch;
  /** The forget set of the run. */
  readonly trained: Dataset;
  readonly retain: Dataset;
  readonly forward: Forward;
  /** Weights at the start. */
  readonly start: WeightArrays;
  /** Draws the samples that large sets are measured on. */
  readonly draw: Draw;
}): Promise<Watching> {
  const forget = watch.forget ?? trained;
  const named = new Set(watch.stopWhen.flatMap(figuresOf));
  const sets: Record<string, { readonly set: Dataset; readonly samples: Int32Array | undefined }> = {
    validationAccuracy: { set: watch.validation, samples: undefined },
    forgetAccuracy: { set: forget, samples: sampleOf(forget, draw) },
    ...(named.has("retainAccuracy")
      ? { retainAccuracy: { set: retain, samples: sampleOf(retain, draw) } }
      : {}),
    ...(named.has("testAccuracy") && watch.test
      ? { testAccuracy: { set: watch.test, samples: undefined } }
      : {}),
  };
  for (const [name, set] of Object.entries(watch.also))
    if (named.has(`${name}.accuracy`) || watch.limits.some((limit) => limit.name === name))
      sets[`${name}.accuracy`] = { set, samples: undefined };
  const measures = async (weights: WeightArrays) => {
    const out: Record<string, Measure> = {};
    for (const [name, { set, samples }] of Object.entries(sets))
      out[name] = measure(await forward.logits(weights, set, samples), set, samples);
    return out;
  };
  const figures = (all: Readonly<Record<string, Measure>>): Figures =>
    Object.fromEntries(Object.entries(all).map(([name, { accuracy }]) => [name, accuracy]));

  const first = await measures(start);
  const startOf = { validation: first["validationAccuracy"]!, forget: first["forgetAccuracy"]! };
  const unit = watch.budget?.unit ?? unitOf(watch.validation);
  const target = targetOf(watch.goal, startOf.validation.accuracy);
  const lossAllowed = startOf.validation.loss + (watch.budget ? natsOf(watch.budget, startOf.validation) : 0);
  const limitsKept = (also: WatchFigures["also"], limits: readonly Limit[]) =>
    limits.every((limit) =>
      isWithinLimit(limit, first[`${limit.name}.accuracy`]!.accuracy, also[limit.name]!),
    );
  const affords = ({ spent, also }: Pick<WatchFigures, "spent" | "also">) =>
    (watch.budget === undefined || isWithin(watch.budget, spent)) &&
    limitsKept(
      also,
      watch.limits.filter((limit) => !forbidsRise(limit)),
    );
  return {
    goal: watch.goal,
    affords,
    target,
    arrived: ({ forgetAccuracy }) => forgetAccuracy <= target,
    clear: ({ spent, validationLoss }) =>
      watch.budget === undefined || (spent <= watch.budget.amount / 2 && validationLoss <= lossAllowed),
    lossAllowed,
    wrongCosts: wrongCosts(startOf.validation),
    start: startOf,
    async check(step, weights) {
      const now = await measures(weights);
      const [validation, forgotten] = [now["validationAccuracy"]!, now["forgetAccuracy"]!];
      const spent = spentOf({ unit }, startOf.validation, validation);
      const also = Object.fromEntries(
        Object.entries(now)
          .filter(([name]) => name.endsWith(".accuracy"))
          .map(([name, { accuracy }]) => [name.slice(0, -".accuracy".length), accuracy]),
      );
      const finite = Object.values(now).every((m) => Number.isFinite(m.loss));
      const condition = watch.stopWhen.find((one) => isMet(one, figures(first), figures(now)));
      const unseen =
        watch.goal === "unseen" && watch.budget && forgotten.accuracy <= startOf.validation.accuracy;
      const stop = condition?.text ?? (unseen ? "forgetAccuracy<=before.validationAccuracy" : undefined);
      return {
        step,
        validationAccuracy: validation.accuracy,
        validationLoss: validation.loss,
        forgetAccuracy: forgotten.accuracy,
        forgetLoss: forgotten.loss,
        spent,
        also,
        within: finite && affords({ spent, also }) && limitsKept(also, watch.limits),
        forgets: forgetsEnough(startOf.forget, forgotten, watch.minForgetting, target),
        ...(stop === undefined ? {} : { stop }),
      };
    },
  };
}
