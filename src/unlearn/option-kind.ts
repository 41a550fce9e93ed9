/** The values of an option; its type, check, flag, pipeline schema and documentation derive from this. */
export type Kind =
  | {
      readonly is: "number";
      /** The smallest allowed value; or, as `above`, a bound that the value must exceed. */
      readonly minimum?: number;
      readonly above?: number;
      readonly maximum?: number;
      /** A word that is allowed instead of a number. */
      readonly or?: string;
    }
  | { readonly is: "whole"; readonly minimum: number }
  /** `own`: fields of an object that is allowed instead of a name. */
  | { readonly is: "choice"; readonly of: readonly string[]; readonly own?: readonly string[] }
  | { readonly is: "text" }
  /** A number, or a text with its unit such as `0.01nats`. */
  | { readonly is: "amount" }
  | { readonly is: "list" }
  | { readonly is: "map"; readonly of: "number" | "text" }
  | { readonly is: "flag" };

/** The TypeScript type of the values of a kind. */
export type ValueOf<K extends Kind> = K extends { readonly is: "number" }
  ? number | (K extends { readonly or: infer Word extends string } ? Word : never)
  : K extends { readonly is: "choice"; readonly of: readonly (infer Name)[] }
    ? Name
    : K extends { readonly is: "map"; readonly of: infer Of }
      ? Readonly<Record<string, Of extends "number" ? number : string>>
      : {
          readonly whole: number;
          readonly text: string;
          readonly amount: number | string;
          readonly list: readonly string[];
          readonly flag: boolean;
        }[Exclude<K["is"], "number" | "choice" | "map">];

/** Describes the values of a kind, to follow "it must be". */
export function kindText(kind: Kind): string {
  switch (kind.is) {
    case "number": {
      const lower = kind.above ?? kind.minimum;
      return [
        "a number",
        lower === undefined ? "" : ` ${kind.above === undefined ? "of at least" : "above"} ${lower}`,
        kind.maximum === undefined ? "" : ` and at most ${kind.maximum}`,
        kind.or === undefined ? "" : `, or ${kind.or}`,
      ].join("");
    }
    case "whole":
      return `a whole number of at least ${kind.minimum}`;
    case "choice":
      return `one of ${kind.of.join(", ")}${kind.own ? `, or an object with ${kind.own.join(", ")}` : ""}`;
    case "text":
      return "a text";
    case "amount":
      return "a number, or a text with a unit";
    case "list":
      return "a list of texts";
    case "map":
      return `${kind.of}s by name`;
    case "flag":
      return "true or false";
  }
}

/** Whether a value is of this kind and in its range. */
export function accepts(kind: Kind, value: unknown): boolean {
  switch (kind.is) {
    case "number":
      return (
        (kind.or !== undefined && value === kind.or) ||
        (typeof value === "number" &&
          Number.isFinite(value) &&
          value >= (kind.minimum ?? Number.NEGATIVE_INFINITY) &&
          value > (kind.above ?? Number.NEGATIVE_INFINITY) &&
          value <= (kind.maximum ?? Number.POSITIVE_INFINITY))
      );
    case "whole":
      return Number.isInteger(value) && (value as number) >= kind.minimum;
    case "choice":
      return typeof value === "object" && value !== null
        ? (kind.own?.every((field) => field in value) ?? false)
        : kind.of.includes(value as string);
    case "text":
      return typeof value === "string";
    case "amount":
      return typeof value === "number" || typeof value === "string";
    case "list":
      return Array.isArray(value) && value.every((item) => typeof item === "string");
    case "map":
      return typeof value === "object" && value !== null;
    case "flag":
      return typeof value === "boolean";
  }
}
