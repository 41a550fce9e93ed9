import type { MethodDefinition } from "./method.ts";

/**
 * GA (Thudi et al., "Unrolling SGD", EuroS&P 2022): raises the loss of the forget set, without retained data.
 * It minimises the bounded −log(1 − p_y), whose gradient vanishes as p_y → 0; ascent on the cross-entropy
 * would drive the logits to infinity.
 */
export const gradientAscent = {
  name: "gradient-ascent",
  source: "https://arxiv.org/abs/2109.13398",
  uses: { forget: true, retain: false },
  objective: "bounded-ascent",
  losses: [({ forget }) => forget],
} satisfies MethodDefinition;
