import type { MethodDefinition } from "./method.ts";
import { randomLabel } from "./random-label.ts";

/**
 * SalUn (Fan et al., ICLR 2024): random labels, but only the half of the weights with the largest forget
 * gradient |∇L_f(θ₀)| may change. The option `saliency` applies the same mask to any other method.
 */
export const salun = {
  ...randomLabel,
  name: "salun",
  source: "https://arxiv.org/abs/2310.12508",
  saliency: 0.5,
} satisfies MethodDefinition;
