import { forgetObjective } from "../objectives.ts";
import { plainMethod } from "./method.ts";

/**
 * GA: away from the forget set only (METHOD section 4; Thudi et al., "Unrolling SGD", EuroS&P 2022). The ascent is the bounded
 * −log(1 − p_y), so it comes to rest where the label is gone instead of driving the logits to infinity.
 */
export const gradientAscent = plainMethod({
  uses: { forget: true, retain: false },
  objective: ({ loss = "cross-entropy" }) => forgetObjective("bounded-ascent", loss),
  total: ({ forget }) => forget,
});
