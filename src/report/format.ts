import type { Interval } from "../evaluate/bootstrap.ts";
import type { Unit } from "../evaluate/glossary.ts";

/** Text of a view: numbers as a person reads them. The JSON holds them in full. */
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

export const format = (value: number | null | undefined, unit: Unit): string =>
  value === null || value === undefined ? NONE : written[unit](value);

const sign = (value: number): string => (value > 0 ? "+" : value < 0 ? "−" : "±");

/** after − before; shares in percentage points. */
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

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
/** For HTML and XML text and attributes; control characters that XML cannot hold become U+FFFD. */
export const escapeMarkup = (text: string): string =>
  text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly those are meant
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd")
    .replace(/[&<>"']/g, (c) => ENTITIES[c]!);
