import type { Method } from "../types.ts";
import { eupmu } from "./eupmu.ts";
import { eupmuFast } from "./eupmu-fast.ts";
import { explicit } from "./explicit.ts";
import { finetune } from "./finetune.ts";
import { gradientAscent } from "./gradient-ascent.ts";
import type { MethodDefinition } from "./method.ts";
import { randomLabel } from "./random-label.ts";

export const methods: { readonly [M in Method]: MethodDefinition } = {
  eupmu,
  "eupmu-fast": eupmuFast,
  explicit,
  finetune,
  "random-label": randomLabel,
  "gradient-ascent": gradientAscent,
};
