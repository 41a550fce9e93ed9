import { forgetObjectives } from "../objectives.ts";
import { plainMethod } from "./method.ts";

/** GA: bounded ascent −log(1 − p_y) on the forget set only (METHOD section 4). */
export const gradientAscent = plainMethod(
  { forget: true, retain: false },
  forgetObjectives["bounded-ascent"],
  ({ forget }) => forget,
);
