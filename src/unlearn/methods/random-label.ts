import * as tf from "@tensorflow/tfjs-core";
import { forgetObjectives } from "../objectives.ts";
import { plainMethod } from "./method.ts";

/** RL: cross-entropy with random labels on the forget set plus cross-entropy on retained data (METHOD section 4). */
export const randomLabel = plainMethod(
  { forget: true, retain: true },
  forgetObjectives["random-label"],
  ({ forget, retain }) => tf.add(forget, retain),
);
