import type { Draw } from "./batches.ts";
import { type Budget, isWithin, spentOf } from "./budget.ts";
import { type Figures, figuresOf, isMet, type StopCondition } from "./conditions.ts";
import type { Forward, WeightArrays } from "./forward.ts";
import { type Measure, measure } from "./metrics.ts";
import type { Dataset, Goal, LossName } from "./types.ts";

/** A set whose accuracy may change by so much only: −0.01 may fall by a point, +0.01 may rise by one. */
export interface Limit {
  readonly name: string;
  readonly change: number;
}

/** What a run is held to besides its own objective; measured on the running weights every few steps. */
export interface Watch {
  /** V: what choices may look at (METHOD section 6). */
  readonly validation: Dataset;
  readonly budget?: Budget;
  /** An export must forget at least so much: a share of the forget samples, or as many nats of forget loss. */
  readonly minForgetting: number;
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

/** Whether so much was forgotten: in accuracy, or in nats of the own labels' loss. */
export const forgetsEnough = (
  before: Pick<Measure, "accuracy" | "loss">,
  after: Pick<Measure, "accuracy" | "loss">,
  minimum: number,
): boolean =>
  before.accuracy - after.accuracy >= minimum - 1e-9 || after.loss - before.loss >= minimum - 1e-9;

/**
 * Ranks states within a budget, smaller is better: distance of the forget accuracy from its target, plus what utility was lost, in accuracy and in
 * nats; then, far below any difference in accuracy, how sure the model still is of the forgotten labels.
 * @param target forget accuracy to arrive at
 */
export function rankOf(check: Check, start: { readonly validation: Measure }, target: number): number {
  const lost =
    Math.max(0, start.validation.accuracy - check.validationAccuracy) +
    Math.max(0, check.validationLoss - start.validation.loss);
  return Math.abs(check.forgetAccuracy - target) + lost + 1e-6 * Math.exp(-check.forgetLoss);
}

/** Measures the start once, then any weights against it. */
export async function startWatching(
  watch: Watch,
  forget: Dataset,
  retain: Dataset,
  forward: Forward,
  start: WeightArrays,
  loss: LossName,
  draw: Draw,
) {
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
      out[name] = measure(await forward.logits(weights, set, samples), set, loss, samples);
    return out;
  };
  const figures = (all: Readonly<Record<string, Measure>>): Figures =>
    Object.fromEntries(Object.entries(all).map(([name, { accuracy }]) => [name, accuracy]));

  const first = await measures(start);
  const unit = watch.budget?.unit ?? "accuracy";
  // What was never seen is known no better than validation data (METHOD section 5): going further would leave a scar.
  const target = watch.goal === "unseen" ? first["validationAccuracy"]!.accuracy : 0;
  return {
    target,
    start: { validation: first["validationAccuracy"]!, forget: first["forgetAccuracy"]! },
    async check(step: number, weights: WeightArrays): Promise<Check> {
      const now = await measures(weights);
      const [validation, forgotten] = [now["validationAccuracy"]!, now["forgetAccuracy"]!];
      const spent = spentOf({ unit }, first["validationAccuracy"]!, validation);
      const kept = watch.limits.every(({ name, change }) => {
        const moved = now[`${name}.accuracy`]!.accuracy - first[`${name}.accuracy`]!.accuracy;
        return change < 0 ? moved >= change - 1e-9 : moved <= change + 1e-9;
      });
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
        also: Object.fromEntries(
          Object.entries(now)
            .filter(([name]) => name.endsWith(".accuracy"))
            .map(([name, { accuracy }]) => [name.slice(0, -".accuracy".length), accuracy]),
        ),
        within: finite && kept && (watch.budget === undefined || isWithin(watch.budget, spent)),
        forgets: forgetsEnough(first["forgetAccuracy"]!, forgotten, watch.minForgetting),
        ...(stop === undefined ? {} : { stop }),
      };
    },
  };
}
