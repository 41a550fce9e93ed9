import type { Command } from "commander";
import type { ErrorCode } from "../../converters/errors.ts";

/** Which flags do what an error's sentence asks for: the library, which throws it, knows of no flags. */
export const HINTS: Readonly<Partial<Record<ErrorCode, string>>> = {
  BATCH_SIZE: "The batch size is set with --batch-size.",
  BUDGET: "The flags are --budget, --min-forgetting, --epochs, --lr and --method.",
  BUDGET_UNIT: "The budget is set with --budget, the loss with --loss.",
  CHANNEL_COUNT: "The values are set with --mean and --std.",
  DIVERGED: "The learning rate is set with --lr.",
  ENGINE_BROKEN: "Say --engine onnxruntime.",
  ENGINE_MISSING: "Say --engine onnxruntime.",
  GOAL_NEEDS_VALIDATION: "Give the file with --validation.",
  HEAD_LOSS: "The logits are named with --logits NAME, the loss is chosen with --loss.",
  JUNIT_WITHOUT_GATES: "Give the file with --gates.",
  KEY_MISSING: "Give the file with --key.",
  LABELS_MISSING: 'Where "y" is no class, say --loss binary-cross-entropy or --loss mse.',
  LABELS_SHAPE: "For several labels say --loss binary-cross-entropy, for a regression --loss mse.",
  LIMIT_UNKNOWN: "Give the file with --also NAME=FILE.",
  LOGITS_AMBIGUOUS: "Name the logits with --logits NAME.",
  LOGITS_NOT_CLASSES: "Name the logits with --logits NAME.",
  LOGITS_UNKNOWN: "Name the logits with --logits NAME.",
  NO_ACCURACY: "The budget is set with --budget, such as 0.02mse.",
  NO_WEIGHTS: "Where there are weights, --train GLOB selects them and --freeze GLOB freezes them.",
  NOTHING_TO_TRAIN: "Weights are selected with --train GLOB and frozen with --freeze GLOB.",
  OPERATOR_UNKNOWN: "Name the logits with --logits NAME.",
  OUTPUT_EXISTS: "An existing file is replaced with --force.",
  OVERLAP: "An overlap is allowed with --allow-overlap.",
  RECEIPT_UNKEYED: "Leave --key out.",
  RELEARN_CLASSES: "Leave --relearn out.",
  REPORT_INVALID: "The report is the file that unlearn wrote with --report.",
  ROUNDED_AWAY: "The flags are --lr and --epochs.",
  STOP_NEEDS_TEST: "Give the file with --test.",
  TOO_FEW: "Give the file with --validation.",
};

export const flagsIn = (hint: string): string[] => hint.match(/--[a-z][a-z-]*/g) ?? [];

/**
 * The sentence of an error with its hint, where the command has the flags of the hint: `run` takes them from
 * its file.
 */
export function withHint({ code, message }: { code: ErrorCode; message: string }, command: Command): string {
  const hint = HINTS[code];
  const known = command.options.map(({ long }) => long);
  const sentence = code.startsWith("OUTPUT_") ? asFlag(message) : message;
  return hint && flagsIn(hint).every((flag) => known.includes(flag)) ? `${sentence} ${hint}` : sentence;
}

/** The library says "the option train" where the command line says "--train". */
export const asFlag = (text: string): string => text.replace(/\bthe option /gi, "--");
