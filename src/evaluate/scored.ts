import type { Labelled, Outputs } from "../tasks/task.ts";
import type { ScoredSet } from "./membership.ts";

/** A model's outputs on a set, with the truth: what every metric is computed from. */
export interface Scored extends Pick<Labelled, "task" | "truth"> {
  readonly outputs: Outputs;
}

/** The set as the membership attacks need it; undefined if there are no class probabilities. */
export function attackable({ task, truth, outputs }: Scored): ScoredSet | undefined {
  const probabilities = task.classes?.probabilities(outputs);
  return (
    probabilities && {
      probabilities,
      classes: probabilities.length / outputs.count,
      labels: truth.data as Int32Array,
    }
  );
}
