import type { Draw } from "../tasks/task.ts";
import { shuffle } from "./batches.ts";
import type { WeightArrays } from "./forward.ts";
import { mapValues } from "./state.ts";

/**
 * A model that knows nothing: the values inside every weight in random order, so that its scale is the same.
 */
export const ruined = (weights: WeightArrays, draw: Draw): WeightArrays =>
  mapValues(weights, (values) => Float32Array.from(shuffle([...values], draw)));
