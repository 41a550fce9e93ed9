import { tf } from "../../../converters/tf.ts";
import { distillation } from "../losses.ts";
import type { MethodDefinition } from "./method.ts";

/**
 * SCRUB (Kurmanji et al., NeurIPS 2023, section 3). The teacher is the start model. An epoch is a pass over
 * the forget set that *raises* T²·KL(teacher ‖ student), in the first `forgetEpochs` epochs only, then a pass
 * over the retained data that lowers γ·L_r + α·T²·KL(teacher ‖ student).
 */
export const scrub = {
  name: "scrub",
  source: "https://arxiv.org/abs/2302.09880",
  uses: { forget: true, retain: true },
  batches: "forget-then-retain",
  teacher: "start",
  settings: {
    alpha: {
      value: 0.5,
      minimum: 0,
      maximum: 1e6,
      what: "weight of the distance to the teacher on retained data",
    },
    gamma: { value: 1, minimum: 0, maximum: 1e6, what: "weight of the utility loss on retained data" },
    temperature: { value: 4, minimum: 1e-3, maximum: 1e6, what: "temperature of both distributions" },
    forgetEpochs: {
      value: 2,
      minimum: 0,
      maximum: 1e6,
      what: "epochs that begin with a pass over the forget set",
    },
  },
  objective: "utility",
  losses: [
    ({ logits, retainMean, mean }, { setting, teacher }) => {
      const temperature = setting("temperature");
      const distance = tf.mul(distillation(teacher!, logits, temperature), temperature ** 2);
      return tf.sub(
        tf.add(tf.mul(retainMean, setting("gamma")), tf.mul(mean("retain", distance), setting("alpha"))),
        mean("forget", distance),
      );
    },
  ],
} satisfies MethodDefinition;
