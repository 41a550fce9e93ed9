import type { Dataset } from "../data/types.ts";
import type { Draw } from "./batches.ts";
import { type Budget, isWithin, natsOf, spentOf, unitOf, wrongCosts } from "./budget.ts";
import { type Figures, figuresOf, isMet, type StopCondition } from "./conditions.ts";
import type { Forward, WeightArrays } from "./forward.ts";
import { forbidsRise, isWithinLimit, type Limit } from "./limits.ts";
import { type Measure, measure } from "./metrics.ts";
import type { Goal } from "./types.ts";

/** What a run is held to besides its own objective; measured on the running weights every few steps. */
export interface Watch {
  /** V: what choices may look at (METHOD section 6). */
  readonly validation: Dataset;
  readonly budget?: Budget;
  /** What forgetting is measured on, where more than that is trained to be forgotten; undefined = the forget set of the run. */
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

/** The running weights against the start, at one step. */
export interface Check {
  readonly step: number;
  readonly validationAccuracy: number;
  readonly validationLoss: number;
  readonly forgetAccuracy: number;
  readonly forgetLoss: number;
  /** Utility lost on V, in the budget's unit; in accuracy where there is no budget. */
  readonly spent: number;
  readonly also: Readonly<Record<string, number>>;
  /** Within the budget and every limit. */
  readonly within: boolean;
  /** Forgets at least the stated minimum. */
  readonly forgets: boolean;
  /** The condition that ends the run here. */
  readonly stop?: string;
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

/** Forget accuracy to arrive at: what was never seen is known no better than validation data (METHOD section 5), going further would leave a scar. */
export const targetOf = (goal: Goal, validationAccuracy: number): number =>
  goal === "unseen" ? validationAccuracy : 0;

/**
 * Whether so much was forgotten. In accuracy: forget accuracy lower by the amount, or at its target where that is nearer; the loss decides only where accuracy
 * has nothing to show: a model that was at the target from the start (loss higher by as many nats), a regression (loss higher by that share of it).
 * In nats: forget accuracy lower by as large a share, or forget loss higher by so much.
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

/** What states of a run are held against. */
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
 * Orders states that are all within the budget, those that forget more first, as a budget is there to be spent: by the distance of the forget accuracy from
 * its target; then `unseen` by the distance of the forget loss from that of unseen data, `gone` by the higher forget loss, or, where
 * all is gone, by the lower validation loss (METHOD section 5: full forgetting at the highest utility). Accuracy on a few hundred samples moves by luck, and
 * of two dozen looks the luckiest would win: what the validation loss, which moves less, says was lost beyond the budget counts against a state.
 */
export function forgetsMore(
  a: Check,
  b: Check,
  { goal, target, start, lossAllowed, wrongCosts }: Aim,
): number {
  const first = ({ forgetAccuracy, validationLoss }: Check) =>
    (Number.isNaN(forgetAccuracy) ? 0 : Math.abs(forgetAccuracy - target)) +
    (BEYOND * Math.max(0, validationLoss - lossAllowed)) / wrongCosts;
  const second = ({ forgetAccuracy, forgetLoss, validationLoss }: Check) =>
    goal === "unseen"
      ? Math.abs(forgetLoss - start.validation.loss)
      : forgetAccuracy <= target
        ? validationLoss
        : -forgetLoss;
  // The state that ended the run is what was asked for.
  const ended = ({ stop }: Check) => Number(stop === undefined);
  return ended(a) - ended(b) || first(a) - first(b) || second(a) - second(b);
}

/** Measures the start once, then any weights against it. */
export async function startWatching(
  watch: Watch,
  trained: Dataset,
  retain: Dataset,
  forward: Forward,
  start: WeightArrays,
  draw: Draw,
) {
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
  const limitsKept = (also: Check["also"], limits: readonly Limit[]) =>
    limits.every((limit) =>
      isWithinLimit(limit, first[`${limit.name}.accuracy`]!.accuracy, also[limit.name]!),
    );
  const affords = ({ spent, also }: Pick<Check, "spent" | "also">) =>
    (watch.budget === undefined || isWithin(watch.budget, spent)) &&
    limitsKept(
      also,
      watch.limits.filter((limit) => !forbidsRise(limit)),
    );
  return {
    goal: watch.goal,
    /** Whether the utility lost is within the budget, and that of protected groups within their limits. */
    affords,
    target,
    /** Whether what was to be forgotten is forgotten. */
    arrived: ({ forgetAccuracy }: Check) => forgetAccuracy <= target,
    /** Whether at most half of the budget is spent, and the loss has room too: from the edge any step would break it. */
    clear: ({ spent, validationLoss }: Check) =>
      watch.budget === undefined || (spent <= watch.budget.amount / 2 && validationLoss <= lossAllowed),
    lossAllowed,
    wrongCosts: wrongCosts(first["validationAccuracy"]!),
    start: { validation: first["validationAccuracy"]!, forget: first["forgetAccuracy"]! },
    async check(step: number, weights: WeightArrays): Promise<Check> {
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
