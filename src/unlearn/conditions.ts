import { badInput } from "../../converters/errors.ts";

/** Accuracies that a condition may name, as fractions; those of `--also` sets are `NAME.accuracy`. */
const FIGURES = ["forgetAccuracy", "retainAccuracy", "validationAccuracy", "testAccuracy"] as const;

export interface StopCondition {
  readonly text: string;
  readonly left: Operand;
  readonly sign: "<=" | ">=";
  readonly right: Operand;
}

export type Operand = number | { readonly figure: string; readonly ofStart: boolean };

/** Figures by the name a condition uses. */
export type Figures = Readonly<Record<string, number>>;

/**
 * Reads a condition such as `forgetAccuracy<=validationAccuracy`, `forgetAccuracy<=0.1` or
 * `a.accuracy>=before.a.accuracy`. Figures are fractions, of the current weights or, after `before.`, of the
 * start model.
 * @throws badInput STOP_WHEN listing what may be written
 */
export function parseStopCondition(text: string, also: readonly string[]): StopCondition {
  const names: readonly string[] = [...FIGURES, ...also.map((name) => `${name}.accuracy`)];
  const refuse = () =>
    badInput(
      "STOP_WHEN",
      `the condition "${text}" cannot be read; write A<=B or A>=B, each a number or one of ${names.join(", ")}, with before. in front for the start model.`,
    );
  const operand = (word: string): Operand => {
    if (word !== "" && Number.isFinite(Number(word))) return Number(word);
    const ofStart = word.startsWith("before.");
    const figure = ofStart ? word.slice("before.".length) : word;
    if (!names.includes(figure)) throw refuse();
    return { figure, ofStart };
  };
  const [, left, sign, right] = /^(.+?)(<=|>=)(.+)$/.exec(text.replace(/\s/g, "")) ?? [];
  if (left === undefined || right === undefined) throw refuse();
  return { text, left: operand(left), sign: sign as "<=" | ">=", right: operand(right) };
}

/** Names of the figures that a condition compares. */
export const figuresOf = ({ left, right }: StopCondition): string[] =>
  [left, right].flatMap((side) => (typeof side === "number" ? [] : [side.figure]));

export function isMet({ left, sign, right }: StopCondition, start: Figures, now: Figures): boolean {
  const value = (side: Operand) =>
    typeof side === "number" ? side : (side.ofStart ? start : now)[side.figure]!;
  return sign === "<=" ? value(left) <= value(right) : value(left) >= value(right);
}
