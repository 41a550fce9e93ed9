import { dirname, resolve } from "node:path";
import { type Gates, gatesSchema } from "./schema.ts";
import { readSettings } from "./settings.ts";

/** A gates file and what its paths are relative to. @throws badInput as {@link readSettings} */
export function readGates(path: string): { readonly gates: Gates; readonly golden: string | undefined } {
  const gates = readSettings(path, gatesSchema);
  const samples = gates.structure?.golden?.samples;
  return { gates, golden: samples === undefined ? undefined : resolve(dirname(path), samples) };
}
