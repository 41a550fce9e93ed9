import { distillation } from "../losses.ts";
import type { MethodDefinition } from "./method.ts";

/**
 * Bad teacher (Chundawat et al., AAAI 2023): minimises KL(teacher ‖ student) over the mixed batch. On
 * retained samples the teacher is the start model; on forget samples it is a model that knows nothing, the
 * start model with the values inside each trained weight shuffled.
 */
export const badTeacher = {
  name: "bad-teacher",
  source: "https://arxiv.org/abs/2205.08096",
  uses: { forget: true, retain: true },
  teacher: "ruined-on-forget",
  settings: {
    temperature: { value: 1, minimum: 1e-3, maximum: 1e6, what: "temperature of both distributions" },
  },
  objective: "utility",
  losses: [
    ({ logits, mean }, { setting, teacher }) =>
      mean("all", distillation(teacher!, logits, setting("temperature"))),
  ],
} satisfies MethodDefinition;
