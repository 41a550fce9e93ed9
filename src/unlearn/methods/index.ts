import { badTeacher } from "./bad-teacher.ts";
import { eupmu } from "./eupmu.ts";
import { eupmuFast } from "./eupmu-fast.ts";
import { explicit } from "./explicit.ts";
import { finetune } from "./finetune.ts";
import { gradientAscent } from "./gradient-ascent.ts";
import { l1Sparse } from "./l1-sparse.ts";
import type { MethodDefinition } from "./method.ts";
import { neggradPlus } from "./neggrad-plus.ts";
import { pcgrad } from "./pcgrad.ts";
import { randomLabel } from "./random-label.ts";
import { salun } from "./salun.ts";
import { scrub } from "./scrub.ts";

/** Every method that can be chosen by name, with the paper that it comes from. */
const table = {
  eupmu,
  "eupmu-fast": eupmuFast,
  explicit,
  finetune,
  "gradient-ascent": gradientAscent,
  "neggrad-plus": neggradPlus,
  "random-label": randomLabel,
  salun,
  "l1-sparse": l1Sparse,
  scrub,
  "bad-teacher": badTeacher,
  pcgrad,
} satisfies Readonly<Record<string, MethodDefinition & { readonly source: string }>>;
/** An unlearning method by its name; docs/method.md, "Baselines", has their sources. */
export type Method = keyof typeof table;
export const methods: { readonly [M in Method]: MethodDefinition & { readonly source: string } } = table;
export const METHODS = Object.keys(table) as readonly Method[];
