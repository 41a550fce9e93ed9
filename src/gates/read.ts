import { dirname, resolve } from "node:path";
import type { SetInput } from "../data/source.ts";
import { type Gates, gatesSchema, type WrittenGates } from "./schema.ts";
import { checkSettings, readSettings } from "./settings.ts";

/** Gates, with their golden samples. */
export interface GateSettings {
  readonly gates: Gates;
  readonly golden: SetInput | undefined;
}

/**
 * Gates of a file, or as a value; what is left out has its default. Paths in them are relative to the file, or to the
 * working directory.
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
