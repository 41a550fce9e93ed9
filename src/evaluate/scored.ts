import type { Labelled, Outputs } from "../tasks/task.ts";
import type { ScoredSet } from "./membership.ts";

/** A model's answers on a set, beside the truth: what every metric is computed from. */
export interface Scored extends Pick<Labelled, "task" | "truth"> {
  readonly outputs: Outputs;
}

/** For the membership attacks; undefined where there are no class probabilities. */
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
