import type { KernelLowerings, Lowering } from "../graph-builder.ts";
import { clipLowerings } from "./clip.ts";
import { convolutionLowerings } from "./convolution.ts";
import { elementaryLowerings } from "./elementary.ts";
import { movementLowerings } from "./movement.ts";
import { scatterLowerings } from "./scatter.ts";
import { standardLowerings } from "./standard.ts";

const ownLowerings: KernelLowerings = {
  ...elementaryLowerings,
  ...clipLowerings,
  ...convolutionLowerings,
  ...movementLowerings,
  ...scatterLowerings,
};

/** Every lowering by kernel name. tfjs passes the attributes untyped. */
export const lowerings: Readonly<Record<string, Lowering<never>>> = { ...standardLowerings, ...ownLowerings };
