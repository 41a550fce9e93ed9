import { distillation } from "../losses.ts";
import type { MethodDefinition, Setting } from "./method.ts";

const settings = {
  temperature: { value: 1, minimum: 1e-3, maximum: 1e6, what: "temperature of both distributions" },
} satisfies Record<string, Setting>;

/**
 * Bad teacher (Chundawat et al., AAAI 2023): KL(teacher ‖ student) over the mixed batch. On retained samples
 * the teacher is the start model, on forget samples one that knows nothing: the same network, the values of
 * every trained weight shuffled.
 */
export const badTeacher = {
  name: "bad-teacher",
  source: "https://arxiv.org/abs/2205.08096",
  uses: { forget: true, retain: true },
  teacher: "ruined-on-forget",
  settings,
  objective: "utility",
  losses: [
    ({ logits, mean }, { setting, teacher }) =>
      mean("all", distillation(teacher!, logits, setting("temperature"))),
  ],
} satisfies MethodDefinition;
