import { factsOf, registeredOperators } from "./registry.ts";

/** Domains with implemented operators, in the order in which they are listed. */
export const DOMAINS = ["", "ai.onnx.ml", "com.microsoft"] as const;

export interface CatalogueEntry {
  readonly domain: string;
  readonly operator: string;
  /** Opsets at which each implementation starts. */
  readonly since: readonly number[];
  readonly gradient: "checked" | "zero";
  readonly note: string;
}

/** Every registered operator, by domain and name. */
export const operatorCatalogue = (): CatalogueEntry[] =>
  DOMAINS.flatMap((domain) =>
    [...registeredOperators(domain)]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([operator, since]) => {
        const { gradient = "checked", note = "" } = factsOf({ domain, opType: operator })!;
        return { domain, operator, since, gradient, note };
      }),
  );
