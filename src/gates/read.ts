import { dirname, resolve } from "node:path";
import type { SetInput } from "../data/source.ts";
import { type Gates, gatesSchema, type WrittenGates } from "./schema.ts";
import { checkSettings, readSettings } from "./settings.ts";

/** Gates, with the path of their golden samples resolved. */
export interface GateSettings {
  readonly gates: Gates;
  readonly golden: SetInput | undefined;
}

/**
 * Reads gates from a file or checks those given as a value, and fills in defaults. Paths in them are relative
 * to the file's folder, or to the working directory for gates as a value.
 * @throws badInput FILE_UNREADABLE, SETTINGS_SYNTAX, SETTINGS_INVALID
 */
export function readGates(from: string | WrittenGates): GateSettings {
  const gates =
    typeof from === "string"
      ? readSettings(from, gatesSchema)
      : checkSettings("the value of the gates", from, gatesSchema);
  const samples = gates.structure?.golden?.samples;
  const folder = typeof from === "string" ? dirname(from) : "";
  return { gates, golden: samples === undefined ? undefined : resolve(folder, samples) };
}
