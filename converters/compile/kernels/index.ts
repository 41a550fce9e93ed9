import type { LoweringTable } from "../trace.ts";
import { clipLowerings } from "./clip.ts";
import { convolutionLowerings } from "./convolution.ts";
import { elementaryLowerings } from "./elementary.ts";
import { movementLowerings } from "./movement.ts";
import { scatterLowerings } from "./scatter.ts";
import { standardLowerings } from "./standard.ts";

/** Every lowering the compiler knows, by kernel name. */
export const loweringTables: readonly LoweringTable[] = [
  standardLowerings,
  elementaryLowerings,
  clipLowerings,
  convolutionLowerings,
  movementLowerings,
  scatterLowerings,
];
