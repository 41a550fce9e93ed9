import { tf } from "../../../converters/tf.ts";
import type { MethodDefinition } from "./method.ts";

/**
 * RL (Golatkar et al., CVPR 2020): random labels on the forget set plus the utility loss on retained data.
 */
export const randomLabel = {
  name: "random-label",
  source: "https://arxiv.org/abs/1911.04933",
  uses: { forget: true, retain: true },
  objective: "random-label",
  losses: [({ forget, retain }) => tf.add(forget, retain)],
} satisfies MethodDefinition;
