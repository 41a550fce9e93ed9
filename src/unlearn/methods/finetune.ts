import type { MethodDefinition } from "./method.ts";

/** FT (Warnecke et al., NDSS 2023): the utility loss on retained data only; the rest is forgotten slowly. */
export const finetune = {
  name: "finetune",
  source: "https://arxiv.org/abs/2108.11577",
  uses: { forget: false, retain: true },
  objective: "utility",
  losses: [({ retain }) => retain],
} satisfies MethodDefinition;
