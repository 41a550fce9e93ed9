import { mean } from "../tasks/numbers.ts";
import type { Column } from "../tasks/task.ts";

/** One shadow model: its confidence on the attacked samples, and which of them it was trained on. */
export interface Shadow {
  /** p_y of every attacked sample (the forget set, then the test set). */
  readonly confidence: Column;
  /** 1 where the sample was in this model's training data. */
  readonly member: Uint8Array;
  /** The model was trained on its members and then made to forget them; for U-LiRA. */
  readonly unlearned: boolean;
}

/**
 * log p − log(1 − p), which is nearly normally distributed over models (Carlini et al. 2022, section IV-C).
 */
const logit = (p: number): number => Math.log(Math.max(p, 1e-30)) - Math.log(Math.max(1 - p, 1e-30));

interface Normal {
  readonly mean: number;
  readonly variance: number;
  readonly count: number;
}

function normalOf(values: readonly number[]): Normal {
  const center = mean(values);
  return { mean: center, variance: mean(values.map((v) => (v - center) ** 2)), count: values.length };
}

const logDensity = (x: number, { mean, variance }: Normal): number =>
  -0.5 * ((x - mean) ** 2 / variance + Math.log(2 * Math.PI * variance));

/**
 * With fewer models per sample, all samples share one variance, as their own would be noise (Carlini et al.).
 */
const OWN_VARIANCE_FROM = 64;
/** Prevents an infinite score where the shadow models are identical. */
const LEAST_VARIANCE = 1e-6;

/**
 * LiRA, the likelihood-ratio attack (Carlini et al., Membership Inference Attacks From First Principles, S&P
 * 2022): log N(φ; in) − log N(φ; out) of the logit φ of the true class. The normal distributions are fitted
 * over the shadow models that were trained on the sample ("in") and over those that were not ("out"). If some
 * sample has no "in" model (offline attack), the score is (φ − mean_out) / sd_out. With `unlearned`, the "in"
 * models were trained on the sample and then made to forget it: U-LiRA (Hayes et al., Inexact Unlearning
 * Needs More Careful Evaluations, 2024).
 * @param target p_y of the attacked model, [N]
 * @returns scores, higher for members; undefined if a sample has no "out" model or, for `unlearned`, no "in"
 */
export function liraScores(
  target: Column,
  shadows: readonly Shadow[],
  { unlearned }: { readonly unlearned: boolean },
): Float64Array | undefined {
  const inside = (i: number) => shadows.filter((s) => s.member[i] === 1 && s.unlearned === unlearned);
  const outside = (i: number) => shadows.filter((s) => s.member[i] === 0);
  const normal = (models: readonly Shadow[], i: number) =>
    models.length === 0 ? undefined : normalOf(models.map(({ confidence }) => logit(confidence[i]!)));
  const normals = Array.from(target, (_, i) => ({ in: normal(inside(i), i), out: normal(outside(i), i) }));
  if (normals.some((n) => !n.out)) return undefined;
  const online = normals.every((n) => n.in);
  if (unlearned && !online) return undefined;
  const shared = (side: "in" | "out") => {
    return mean(normals.flatMap((n) => n[side]?.variance ?? []));
  };
  const pooled = { in: online ? shared("in") : 0, out: shared("out") };
  const settled = (n: Normal, side: "in" | "out"): Normal => ({
    ...n,
    variance: Math.max(LEAST_VARIANCE, n.count >= OWN_VARIANCE_FROM ? n.variance : pooled[side]),
  });
  return Float64Array.from(target, (p, i) => {
    const out = settled(normals[i]!.out!, "out");
    if (!online) return (logit(p) - out.mean) / Math.sqrt(out.variance);
    return logDensity(logit(p), settled(normals[i]!.in!, "in")) - logDensity(logit(p), out);
  });
}

/**
 * RMIA, the robust membership attack (Zarifzadeh et al., Low-Cost High-Power Membership Inference Attacks,
 * ICML 2024), offline: the share of population samples z with [p(x|θ) / p(x)] / [p(z|θ) / p(z)] ≥ 2. Here
 * p(·) = ½ ((1 + a) p_out + 1 − a) with a = 0.3 and p_out the mean over the shadow models that never saw the
 * sample.
 * @param target p_y of the attacked model on every sample
 * @param population indices into `target` of the population samples, whose own scores are not used
 */
export function rmiaScores(
  target: Column,
  shadows: readonly Shadow[],
  population: readonly number[],
): Float64Array | undefined {
  const [gamma, a] = [2, 0.3];
  const ratios = new Float64Array(target.length);
  for (let i = 0; i < target.length; i++) {
    const out = shadows.filter((s) => s.member[i] === 0);
    if (out.length === 0) return undefined;
    const usual = mean(out.map(({ confidence }) => confidence[i]!));
    ratios[i] = target[i]! / (0.5 * ((1 + a) * usual + 1 - a));
  }
  const sorted = Float64Array.from(population, (z) => ratios[z]!).sort();
  return ratios.map((ratio) => {
    // Number of z with ratio_z ≤ ratio_x / γ.
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle]! * gamma <= ratio) low = middle + 1;
      else high = middle;
    }
    return low / sorted.length;
  });
}
