// Plain data without tfjs: the command line lists the names and loads nothing else.

/** The task that each loss selects; `--loss` and the option `loss` take these names. */
export const TASK_OF_LOSS = {
  "cross-entropy": "classification",
  "binary-cross-entropy": "multi-label",
  mse: "regression",
} as const;
/** The utility loss, and with it the task: what `y` holds. */
export type LossName = keyof typeof TASK_OF_LOSS;
export type TaskName = (typeof TASK_OF_LOSS)[LossName];

export const LOSSES = Object.keys(TASK_OF_LOSS) as readonly LossName[];

export const FORGET_OBJECTIVES = ["random-label", "bounded-ascent", "uniform", "likely-other"] as const;
export type ForgetObjectiveName = (typeof FORGET_OBJECTIVES)[number];
