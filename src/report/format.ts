import type { Interval } from "../evaluate/bootstrap.ts";
import type { CheckStatus, GateCheck } from "../gates/judge.ts";
import type { Unit } from "../tasks/task.ts";

/** Stands for a missing value in the views. */
export const NONE = "–";

const short = (value: number, digits: number): string =>
  value === 0
    ? "0"
    : Math.abs(value) >= 10 ** digits
      ? value.toFixed(0)
      : String(Number(value.toPrecision(digits)));

const written: { readonly [U in Unit]: (value: number) => string } = {
  share: (value) => `${(value * 100).toFixed(2)} %`,
  area: (value) => value.toFixed(3),
  nats: (value) => short(value, 4),
  number: (value) => short(value, 4),
  milliseconds: (value) => `${short(value, 3)} ms`,
  bytes: (value) => `${value.toLocaleString("en-US")} B`,
};

/** A value as the views show it, rounded and with its unit; the JSON report has all digits. */
export const format = (value: number | null | undefined, unit: Unit): string =>
  value === null || value === undefined ? NONE : written[unit](value);

const sign = (value: number): string => (value > 0 ? "+" : value < 0 ? "−" : "±");

/** after − before with its sign; shares in percentage points. */
export function formatChange(before: number | null, after: number | null, unit: Unit): string {
  if (before === null || after === null) return NONE;
  const change = after - before;
  const size = Math.abs(change);
  return `${sign(change)}${unit === "share" ? `${(size * 100).toFixed(2)} pp` : written[unit](size)}`;
}

/** [low, high] without the unit. */
export const formatInterval = (interval: Interval | undefined, unit: Unit): string =>
  interval === undefined
    ? ""
    : `[${interval.map((v) => (unit === "share" ? (v * 100).toFixed(2) : unit === "area" ? v.toFixed(3) : short(v, 3))).join(", ")}]`.replaceAll(
        "-",
        "−",
      );

/** The status of a check, as HTML and terminal show it. */
export const STATUS: { readonly [S in CheckStatus]: string } = {
  passed: "✓ passed",
  failed: "✗ FAILED",
  warned: "! warned",
  skipped: "– skipped",
};

/** Statuses in the order of the views, the worst first. */
export const STATUS_ORDER: readonly CheckStatus[] = ["failed", "skipped", "warned", "passed"];
export const worstFirst = (checks: readonly GateCheck[]): readonly GateCheck[] =>
  [...checks].sort((a, b) => STATUS_ORDER.indexOf(a.status) - STATUS_ORDER.indexOf(b.status));

/** The `most` entries with the largest `size`, largest first; a list that is not longer stays as it is. */
export const largest = <T>(list: readonly T[], most: number, size: (entry: T) => number): readonly T[] =>
  list.length <= most ? list : [...list].sort((a, b) => size(b) - size(a)).slice(0, most);

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
/** Escapes text for HTML and XML; control characters that XML does not allow become U+FFFD. */
export const escapeMarkup = (text: string): string =>
  text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly those are meant
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd")
    .replace(/[&<>"']/g, (c) => ENTITIES[c]!);
