import { badInput } from "../../converters/errors.ts";

/**
 * A further set whose accuracy may change by so much only: −0.01 may fall by a point, +0.01 may rise by one.
 */
export interface Limit {
  readonly name: string;
  readonly change: number;
}

/** @param text `-1pp` or `+1pp` @throws badInput LIMIT_FORM */
export function parseLimit(name: string, text: string): Limit {
  const [, change] = /^\s*([+-][0-9.]+)\s*pp\s*$/.exec(text) ?? [];
  if (change === undefined || !Number.isFinite(Number(change)))
    throw badInput(
      "LIMIT_FORM",
      `the limit "${text}" of ${name} cannot be read; write how far its accuracy may fall (-1pp) or rise (+1pp).`,
    );
  return { name, change: Number(change) / 100 };
}

/** What must not be taught again, as it was forgotten earlier; the other limits protect what is known. */
export const forbidsRise = ({ change }: Limit): boolean => change > 0;

/** Float noise only: an accuracy is a count of samples. */
const SLACK = 1e-9;

/** Whether an accuracy changed by no more than the limit allows. */
export const isWithinLimit = ({ change }: Limit, before: number, after: number): boolean =>
  change < 0 ? after - before >= change - SLACK : after - before <= change + SLACK;
