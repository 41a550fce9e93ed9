import { ownTargets } from "../objectives.ts";
import { plainMethod } from "./method.ts";

/** FT: the utility loss on retained data only; what is not rehearsed fades (METHOD section 4; Warnecke et al., NDSS 2023). */
export const finetune = plainMethod({
  uses: { forget: false, retain: true },
  objective: ({ loss = "cross-entropy" }) => ownTargets(loss),
  total: ({ retain }) => retain,
});
