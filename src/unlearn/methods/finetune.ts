import { forgetObjectives } from "../objectives.ts";
import { plainMethod } from "./method.ts";

/** FT: cross-entropy on retained data only (METHOD section 4). */
export const finetune = plainMethod(
  { forget: false, retain: true },
  { ...forgetObjectives["random-label"], redrawsLabels: false },
  ({ retain }) => retain,
);
