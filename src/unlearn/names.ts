// Lists, not only types: the command line offers them without loading the methods themselves.
export const METHODS = [
  "eupmu",
  "eupmu-fast",
  "explicit",
  "finetune",
  "gradient-ascent",
  "neggrad-plus",
  "random-label",
  "salun",
  "l1-sparse",
  "scrub",
  "bad-teacher",
  "pcgrad",
] as const;
export type Method = (typeof METHODS)[number];

export const LOSSES = ["cross-entropy", "binary-cross-entropy", "mse"] as const;
export type LossName = (typeof LOSSES)[number];

export const FORGET_OBJECTIVES = ["random-label", "bounded-ascent", "uniform", "likely-other"] as const;
export type ForgetObjectiveName = (typeof FORGET_OBJECTIVES)[number];

export const LEARNING_RATE_SCHEDULES = ["constant", "cosine"] as const;
export type LearningRateSchedule = (typeof LEARNING_RATE_SCHEDULES)[number];

export const EPSILON_SCHEDULES = ["constant", "linear", "cosine"] as const;
export type EpsilonSchedule = (typeof EPSILON_SCHEDULES)[number];

export const OPTIMIZERS = ["sgd", "adamw"] as const;
export type OptimizerName = (typeof OPTIMIZERS)[number];

/**
 * What a forgotten sample should look like: `unseen`, like data the model never saw (a person's random
 * samples), or `gone`, never predicted as its label again (a class, a poisoned batch).
 */
export const GOALS = ["unseen", "gone"] as const;
export type Goal = (typeof GOALS)[number];
