import { z } from "zod";

/**
 * An allowed distance: `0.01` and `1pp` are absolute, `2%` is relative to the value that it is measured from.
 */
export interface Distance {
  readonly amount: number;
  readonly relative: boolean;
  /** As it was written. */
  readonly text: string;
}

const FORM = /^\s*(\d+(?:\.\d+)?)\s*(pp|%)\s*$/;

/** A distance as written in a gates file: a number ≥ 0, or a text like "0.5pp" or "2%". */
export const distance = z
  .union([
    z.number().min(0),
    z.string().regex(FORM, 'write a number, points like "0.5pp", or a share like "2%"'),
  ])
  .meta({
    description:
      "Absolute: a number, or percentage points like 0.5pp. Relative to the value before: a share like 2%.",
  });

export function parseDistance(value: z.infer<typeof distance>): Distance {
  if (typeof value === "number") return { amount: value, relative: false, text: String(value) };
  const [, digits, unit] = FORM.exec(value)!;
  return { amount: Number(digits) / 100, relative: unit === "%", text: value.trim() };
}

/** The distance as an absolute value, measured from `from`. */
export const absolute = ({ amount, relative }: Distance, from: number): number =>
  relative ? amount * Math.abs(from) : amount;
