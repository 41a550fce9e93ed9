import { type Draw, shuffle } from "./batches.ts";
import type { WeightArrays } from "./forward.ts";

/**
 * The same network knowing nothing: the values of every trained tensor in random order, so its scale stays
 * what it was.
 */
export const ruined = (weights: WeightArrays, draw: Draw): WeightArrays =>
  Object.fromEntries(
    Object.entries(weights).map(([name, values]) => [name, Float32Array.from(shuffle([...values], draw))]),
  );
