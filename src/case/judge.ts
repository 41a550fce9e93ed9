import type { GateReport } from "../gates/judge.ts";
import { judge as judgeFigures } from "../gates/judge.ts";
import type { GateSettings } from "../gates/read.ts";
import type { Comparison } from "./compare.ts";

/** Whether a comparison holds its gates. */
export interface Verdict {
  /** True also where no gates were given. */
  readonly passed: boolean;
  /** Every check; null without gates. */
  readonly gates: GateReport | null;
}

/** Holds a comparison to gates: values in, values out. */
export function judge(comparison: Comparison, settings: GateSettings | undefined): Verdict {
  const gates = settings ? judgeFigures(comparison, settings.gates) : null;
  return { passed: gates?.verdict !== "failed", gates };
}
