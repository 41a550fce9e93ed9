import type { MethodDefinition } from "./method.ts";

/**
 * GA (Thudi et al., "Unrolling SGD", EuroS&P 2022): away from the forget set only. The ascent is the bounded
 * −log(1 − p_y), so it comes to rest where the label is gone instead of driving the logits to infinity.
 */
export const gradientAscent = {
  name: "gradient-ascent",
  source: "https://arxiv.org/abs/2109.13398",
  uses: { forget: true, retain: false },
  objective: "bounded-ascent",
  losses: [({ forget }) => forget],
} satisfies MethodDefinition;
