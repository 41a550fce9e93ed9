import { badInput } from "../../converters/errors.ts";
import { classification } from "./classification.ts";
import { multiLabel } from "./multi-label.ts";
import { regression } from "./regression.ts";
import type { Labelled, MetricEntry, Task, TruthArray } from "./task.ts";

/** Every task, by the value of the option `loss` that selects it. */
export const tasks = {
  "cross-entropy": classification,
  "binary-cross-entropy": multiLabel,
  mse: regression,
} satisfies Readonly<Record<string, Task>>;
/** A utility loss; it decides the task, that is what the array `y` holds. */
export type LossName = keyof typeof tasks;
export const LOSSES = Object.keys(tasks) as readonly LossName[];

/** The task of a loss; classification by default. */
export const taskOf = (loss: LossName = "cross-entropy"): Task => tasks[loss];

/**
 * A task that can read an array as its truth, for callers that use the inputs only: integers [N] are classes.
 */
export const taskFor = (y: TruthArray | undefined): Task =>
  y && y.kind === "integer" && y.dims.length === 1 ? classification : regression;

/**
 * Refuses a set that cannot train a model for this task.
 * @param units outputs of the model per sample
 * @throws badInput TARGETS_MISSING where the set was read for another task; as {@link Task.check}
 */
export function checkTrainable(set: Labelled, task: Task, units: number): void {
  if (set.task !== task)
    throw badInput(
      "TARGETS_MISSING",
      `${set.path} holds the truth of ${set.task.noun}, but the loss is that of ${task.noun}; choose the loss that fits it.`,
    );
  task.check(set, { units, kind: "logits" });
}

type AddedMetric = { [L in LossName]: keyof (typeof tasks)[L]["glossary"] }[LossName];

/** Metrics that only some tasks define, by name; each is measured on every set. */
export const taskMetrics = Object.assign({}, ...Object.values(tasks).map(({ glossary }) => glossary)) as {
  readonly [M in AddedMetric]: MetricEntry;
};
