import type { Dataset } from "../data/types.ts";
import type { Draw } from "./batches.ts";
import { type Budget, isWithin, natsOf, spentOf, unitOf, wrongCosts } from "./budget.ts";
import { type Figures, figuresOf, isMet, type StopCondition } from "./conditions.ts";
import type { Forward, WeightArrays } from "./forward.ts";
import { forbidsRise, isWithinLimit, type Limit } from "./limits.ts";
import { type Measure, measure } from "./metrics.ts";
import type { Goal, WatchFigures } from "./types.ts";

/** What a run is held to besides its own objective; measured on the running weights every few steps. */
export interface Watch {
  /** What choices may look at (docs/method.md, "Budgets"). */
  readonly validation: Dataset;
  readonly budget?: Budget;
  /** What forgetting is measured on, if not on the forget set of the run, which may hold more. */
  readonly forget?: Dataset;
  /** An export must forget at least so much, see `forgetsEnough`. */
  readonly minForgetting: Forgetting;
  readonly goal: Goal;
  /** Further sets by name. */
  readonly also: Readonly<Record<string, Dataset>>;
  readonly limits: readonly Limit[];
  readonly stopWhen: readonly StopCondition[];
  /** Only measured where a condition names it. */
  readonly test?: Dataset;
}

/** Enough for three digits; the written file is measured on all of them. */
const LARGEST_SAMPLE = 1000;

/** A seeded sample of a large set; undefined = all of it. */
export function sampleOf(set: Dataset, draw: Draw, largest = LARGEST_SAMPLE): Int32Array | undefined {
  if (set.count <= largest) return undefined;
  const order = Int32Array.from({ length: set.count }, (_, i) => i);
  for (let i = 0; i < largest; i++) {
    const j = draw(i, set.count - 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order.slice(0, largest).sort();
}

/** The least forgetting, as a user states it. */
export interface Forgetting {
  /** A share of the forget samples, or nats of their own labels' loss. */
  readonly amount: number;
  readonly unit: "accuracy" | "nats";
}

/**
 * Forget accuracy to arrive at: what was never seen is known no better than validation data, and going
 * further would itself give the forget set away (docs/method.md, "How unlearning is judged").
 */
export const targetOf = (goal: Goal, validationAccuracy: number): number =>
  goal === "unseen" ? validationAccuracy : 0;

/**
 * Whether so much was forgotten. In accuracy: forget accuracy lower by the amount, or at its target where
 * that is nearer; the loss decides only where accuracy cannot fall: a model that was at the target from the
 * start (loss higher by as many nats), a regression (loss higher by that share of it). In nats: forget
 * accuracy lower by as large a share, or forget loss higher by so much.
 * @param target forget accuracy to arrive at
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

/** What states of a run are compared by. */
export interface Aim {
  readonly goal: Goal;
  /** Forget accuracy to arrive at. */
  readonly target: number;
  readonly start: { readonly validation: Measure };
  /** Validation loss that spends the whole budget, in nats. */
  readonly lossAllowed: number;
  /** Nats that stand for one wrong sample. */
  readonly wrongCosts: number;
}

/** How many points of forgetting one point of utility beyond the budget outweighs. */
const BEYOND = 5;

/**
 * Orders states that are all within the budget, those that forget more first, as a budget is there to be
 * spent: by the distance of the forget accuracy from its target; then `unseen` by the distance of the forget
 * loss from that of unseen data, `gone` by the higher forget loss, or, where all is gone, by the lower
 * validation loss (full forgetting at the highest utility). Accuracy on a few hundred samples moves by luck,
 * and of two dozen measurements the luckiest would win: what the validation loss, which moves less, says was
 * lost beyond the budget counts against a state.
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
  // The state that ended the run is what was asked for.
  const ended = ({ stop }: WatchFigures) => Number(stop === undefined);
  return ended(a) - ended(b) || first(a) - first(b) || second(a) - second(b);
}

/** The watched sets, measured at the start: what any weights are compared with. */
export interface Watching extends Aim {
  readonly start: { readonly validation: Measure; readonly forget: Measure };
  /** Whether the utility lost is within the budget, and that of protected groups within their limits. */
  readonly affords: (figures: Pick<WatchFigures, "spent" | "also">) => boolean;
  /** Whether what was to be forgotten is forgotten. */
  readonly arrived: (figures: WatchFigures) => boolean;
  /** Whether at most half of the budget is spent and the loss has room too; beyond, a step may break it. */
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
  /** Of the samples that large sets are measured on. */
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
  const unit = watch.budget?.unit ?? unitOf(watch.validation);
  const target = targetOf(watch.goal, first["validationAccuracy"]!.accuracy);
  const lossAllowed =
    first["validationAccuracy"]!.loss +
    (watch.budget ? natsOf(watch.budget, first["validationAccuracy"]!) : 0);
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
    wrongCosts: wrongCosts(first["validationAccuracy"]!),
    start: { validation: first["validationAccuracy"]!, forget: first["forgetAccuracy"]! },
    async check(step, weights) {
      const now = await measures(weights);
      const [validation, forgotten] = [now["validationAccuracy"]!, now["forgetAccuracy"]!];
      const spent = spentOf({ unit }, first["validationAccuracy"]!, validation);
      const also = Object.fromEntries(
        Object.entries(now)
          .filter(([name]) => name.endsWith(".accuracy"))
          .map(([name, { accuracy }]) => [name.slice(0, -".accuracy".length), accuracy]),
      );
      const finite = Object.values(now).every((m) => Number.isFinite(m.loss));
      const condition = watch.stopWhen.find((one) => isMet(one, figures(first), figures(now)));
      const unseen =
        watch.goal === "unseen" &&
        watch.budget &&
        forgotten.accuracy <= first["validationAccuracy"]!.accuracy;
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
        forgets: forgetsEnough(first["forgetAccuracy"]!, forgotten, watch.minForgetting, target),
        ...(stop === undefined ? {} : { stop }),
      };
    },
  };
}
