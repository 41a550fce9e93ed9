import { dirname, resolve } from "node:path";
import type { SetInput } from "../data/source.ts";
import { type Gates, gatesSchema } from "./schema.ts";
import { readSettings } from "./settings.ts";

/** Gates, with their golden samples. */
export interface GateSettings {
  readonly gates: Gates;
  readonly golden: SetInput | undefined;
}

/** A gates file; paths in it are relative to it. @throws badInput FILE_UNREADABLE, SETTINGS_SYNTAX, SETTINGS_INVALID */
export function readGates(path: string): GateSettings {
  const gates = readSettings(path, gatesSchema);
  const samples = gates.structure?.golden?.samples;
  return { gates, golden: samples === undefined ? undefined : resolve(dirname(path), samples) };
}
