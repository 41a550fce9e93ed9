import { badInput } from "../../converters/errors.ts";

/** A bound on the change of a further set's accuracy: −0.01 lets it fall by a point, +0.01 rise by one. */
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

/** Whether the limit keeps a set, forgotten earlier, from being learned again; others protect known data. */
export const forbidsRise = ({ change }: Limit): boolean => change > 0;

/** Tolerance for rounding; far less than one sample of any set. */
const SLACK = 1e-9;

/** Whether an accuracy changed by no more than the limit allows. */
export const isWithinLimit = ({ change }: Limit, before: number, after: number): boolean =>
  change < 0 ? after - before >= change - SLACK : after - before <= change + SLACK;
