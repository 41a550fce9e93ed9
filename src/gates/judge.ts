import picomatch from "picomatch";
import type { Comparison, Figure } from "../evaluate/comparison.ts";
import type { Latency } from "../evaluate/latency.ts";
import type { WeightChanges } from "../evaluate/weights.ts";
import { absolute, type Distance, parseDistance } from "./limit.ts";
import type { Gates, Rule } from "./schema.ts";

/**
 * `skipped`: the check could not run, which fails the verdict unless `allowSkipped` or `level: warn` is set.
 */
export type CheckStatus = "passed" | "failed" | "warned" | "skipped";

/** One check of the gates file. */
export interface GateCheck {
  /** Path in the gates file, with the limit: `metrics.testAccuracy.maxDrop`. */
  readonly name: string;
  readonly level: "fail" | "warn";
  readonly status: CheckStatus;
  /** The value that was compared with the limit; null if it could not be measured. */
  readonly value: number | null;
  readonly limit: string;
  readonly sentence: string;
}

/** Every check of the gates, and the verdict. */
export interface GateReport {
  readonly verdict: "passed" | "failed";
  readonly checks: readonly GateCheck[];
}

/** Comparison of AFTER's outputs on golden samples. */
export interface Golden {
  /** Largest |difference|; null if it is infinite, which includes NaN outputs. */
  readonly maxAbsDiff: number | null;
  readonly samples: number;
  readonly against: "recorded outputs" | "BEFORE";
}

/** The parts of a diff document that gates check. */
export interface Judged extends Pick<Comparison, "figures" | "perClass" | "also"> {
  readonly structure: {
    readonly identical: boolean;
    readonly differences: readonly string[];
    readonly changedTensors: readonly { readonly name: string }[];
  };
  readonly weights: WeightChanges;
  readonly latency: Latency;
  readonly golden: Golden | null;
}

/** Result of a check that could run. */
interface Found {
  readonly value: number | null;
  readonly holds: boolean;
  readonly what: string;
}
/** Why a check could not run. */
interface Skipped {
  readonly skipped: string;
}
type Finding = Found | Skipped;

const exact = (value: number): string => String(Number(value.toPrecision(6)));

/**
 * Checks a comparison against the gates. That AFTER's outputs and changed weights are finite is always
 * checked. A check that cannot run is reported as skipped, and fails the verdict unless skipping is allowed.
 */
export function judge(judged: Judged, gates: Gates): GateReport {
  const checks: GateCheck[] = [];
  const add = (
    name: string,
    { level, allowSkipped }: { readonly level: "fail" | "warn"; readonly allowSkipped?: boolean },
    limit: string,
    finding: Finding,
  ): void => {
    if ("skipped" in finding) {
      const allowed = allowSkipped ?? gates.allowSkipped;
      const tail = allowed || level === "warn" ? "" : "; allowSkipped would let it pass";
      checks.push({
        name,
        level: allowed ? "warn" : level,
        status: "skipped",
        value: null,
        limit,
        sentence: `could not be checked: ${finding.skipped}${tail}`,
      });
      return;
    }
    const { value, holds, what } = finding;
    const status = holds ? "passed" : level === "warn" ? "warned" : "failed";
    checks.push({
      name,
      level,
      status,
      value: value !== null && Number.isFinite(value) ? value : null,
      limit,
      sentence: what,
    });
  };

  const always = { level: "fail" as const };
  const broken = judged.figures.nonFiniteOutputs?.after ?? 0;
  add("finite.outputs", always, "0 samples", {
    value: broken,
    holds: broken === 0,
    what:
      broken === 0
        ? "all of AFTER's outputs are numbers"
        : `AFTER's outputs are not numbers on ${broken} samples`,
  });
  const badWeights = judged.weights.tensors.filter(({ nonFinite }) => nonFinite > 0);
  add("finite.weights", always, "0 tensors", {
    value: badWeights.length,
    holds: badWeights.length === 0,
    what:
      badWeights.length === 0
        ? "every changed weight is a number"
        : `weights that are not numbers: ${names(badWeights.map(({ name }) => name))}`,
  });

  for (const [metric, limits] of Object.entries(gates.metrics ?? {}))
    if (limits)
      addRule(add, `metrics.${metric}`, judged.figures[metric as keyof Comparison["figures"]], limits);
  for (const [set, figures] of Object.entries(gates.also ?? {}))
    for (const [metric, limits] of Object.entries(figures)) {
      const known: Partial<Record<string, Figure>> | undefined = judged.also[set];
      if (limits)
        addRule(
          add,
          `also.${set}.${metric}`,
          known?.[metric],
          limits,
          known ? undefined : `no set "${set}" was given with --also`,
        );
    }

  for (const [set, limits] of Object.entries(gates.perClass ?? {})) {
    if (!limits) continue;
    const classes = judged.perClass[set as keyof Comparison["perClass"]]?.filter(
      ({ count }) => count >= limits.minSamples,
    );
    const over = (limit: string, wrong: (before: number, after: number) => boolean): Finding => {
      if (!classes) return { skipped: `no ${set} set was given` };
      if (classes.length === 0)
        return { skipped: `no class of the ${set} set has ${limits.minSamples} samples` };
      const failing = classes.filter(({ before, after }) => wrong(before, after));
      const listed = failing.map(
        ({ label, before, after }) => `class ${label} ${exact(before)} → ${exact(after)}`,
      );
      return {
        value: failing.length,
        holds: failing.length === 0,
        what:
          failing.length === 0
            ? `all ${classes.length} classes within ${limit}`
            : `${failing.length} of ${classes.length} classes beyond ${limit}: ${names(listed)}`,
      };
    };
    const { min, maxDrop } = limits;
    if (min !== undefined)
      add(
        `perClass.${set}.min`,
        limits,
        `≥ ${min}`,
        over(`≥ ${min}`, (_, after) => !(after >= min)),
      );
    if (maxDrop !== undefined) {
      const allowed = parseDistance(maxDrop);
      add(
        `perClass.${set}.maxDrop`,
        limits,
        `drop ≤ ${allowed.text}`,
        over(`drop ≤ ${allowed.text}`, (before, after) => !within(before - after, allowed, before)),
      );
    }
  }

  const { structure, latency } = gates;
  if (structure?.identical) {
    const { identical, differences } = judged.structure;
    add("structure.identical", structure, "nothing but float weights differs", {
      value: differences.length,
      holds: identical,
      what: identical ? "inputs, outputs, nodes, opset and metadata are the same" : names(differences),
    });
  }
  if (structure?.onlyTensors) {
    const allowed = picomatch(structure.onlyTensors as string[], { dot: true });
    const others = judged.structure.changedTensors.map(({ name }) => name).filter((name) => !allowed(name));
    add("structure.onlyTensors", structure, structure.onlyTensors.join(", "), {
      value: others.length,
      holds: others.length === 0,
      what:
        others.length === 0
          ? `${judged.structure.changedTensors.length} tensors changed, all of them listed`
          : `changed but not listed: ${names(others)}`,
    });
  }
  if (structure?.golden) {
    const { tolerance } = structure.golden;
    const { golden } = judged;
    add(
      "structure.golden",
      structure.golden,
      `≤ ${tolerance}`,
      golden
        ? {
            value: golden.maxAbsDiff,
            holds: golden.maxAbsDiff !== null && golden.maxAbsDiff <= tolerance,
            what: `outputs on ${golden.samples} golden samples differ from ${golden.against === "BEFORE" ? "BEFORE's" : "the recorded ones"} by at most ${golden.maxAbsDiff === null ? "infinity" : exact(golden.maxAbsDiff)}`,
          }
        : { skipped: "the golden samples were not run" },
    );
  }
  if (latency)
    add("latency.maxRatio", latency, `≤ ${latency.maxRatio}`, {
      value: judged.latency.ratio,
      holds: judged.latency.ratio <= latency.maxRatio,
      what: `AFTER takes ${exact(judged.latency.ratio)} times as long as BEFORE (median of ${judged.latency.rounds} rounds)`,
    });

  return { verdict: checks.some(fails) ? "failed" : "passed", checks };
}

/** Whether a check fails the verdict: it failed, or was skipped without permission. */
export const fails = ({ status, level }: GateCheck): boolean =>
  status === "failed" || (status === "skipped" && level === "fail");

/** The first five names, and the number of others. */
const names = (list: readonly string[]): string =>
  list.length <= 5 ? list.join("; ") : `${list.slice(0, 5).join("; ")} and ${list.length - 5} more`;

/** Tolerance for rounding: in floating point, 0.95 − 0.945 is a little more than 0.005. */
const SLACK = 1e-12;
const within = (moved: number, allowed: Distance, from: number): boolean =>
  moved <= absolute(allowed, from) + SLACK;

function addRule(
  add: (name: string, rule: Rule, limit: string, finding: Finding) => void,
  name: string,
  figure: Figure | undefined,
  rule: Rule,
  missing?: string,
): void {
  const { min, max, maxDrop, maxRise, maxGap } = rule;
  const unmeasured = missing ?? figure?.reason ?? "it was not measured in this run";
  const check = (
    key: string,
    limit: string,
    needs: readonly ("before" | "after" | "reference")[],
    test: (value: { before: number; after: number; reference: number }) => Found,
  ): void => {
    const lacking = needs.find((side) => typeof figure?.[side] !== "number");
    if (!figure || lacking) {
      const why =
        figure && lacking === "reference" && figure.reference === undefined
          ? "no --reference was given"
          : figure && lacking === "before" && figure.after !== null
            ? "this metric compares BEFORE and AFTER and has no value before; use max or min"
            : unmeasured;
      add(`${name}.${key}`, rule, limit, { skipped: why });
      return;
    }
    const value = { before: figure.before ?? 0, after: figure.after ?? 0, reference: figure.reference ?? 0 };
    add(`${name}.${key}`, rule, limit, test(value));
  };
  if (min !== undefined)
    check("min", `≥ ${min}`, ["after"], ({ after }) => ({
      value: after,
      holds: after >= min,
      what: `${exact(after)}, at least ${min} is wanted`,
    }));
  if (max !== undefined)
    check("max", `≤ ${max}`, ["after"], ({ after }) => ({
      value: after,
      holds: after <= max,
      what: `${exact(after)}, at most ${max} is allowed`,
    }));
  const moves = [
    ["maxDrop", maxDrop, "drop", "before", -1],
    ["maxRise", maxRise, "rise", "before", 1],
    ["maxGap", maxGap, "gap", "reference", 0],
  ] as const;
  for (const [key, text, word, from, sign] of moves) {
    if (text === undefined) continue;
    const allowed = parseDistance(text);
    check(key, `${word} ≤ ${allowed.text}`, [from, "after"], (value) => {
      const difference = value.after - value[from];
      const moved = sign === 0 ? Math.abs(difference) : sign * difference;
      return {
        value: moved,
        holds: within(moved, allowed, value[from]),
        what: `${exact(value[from])} → ${exact(value.after)}: ${moved < 0 ? `no ${word}` : `a ${word} of ${exact(moved)}`}, ${allowed.text} is allowed`,
      };
    });
  }
}
