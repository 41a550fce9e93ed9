import { tf } from "../../../converters/tf.ts";
import { forgetObjective } from "../objectives.ts";
import { plainMethod } from "./method.ts";

/** RL: random labels on the forget set plus the utility loss on retained data (METHOD section 4; Golatkar et al., CVPR 2020). */
export const randomLabel = plainMethod({
  uses: { forget: true, retain: true },
  objective: ({ loss = "cross-entropy" }) => forgetObjective("random-label", loss),
  total: ({ forget, retain }) => tf.add(forget, retain),
});
