import { tf } from "../../../converters/tf.ts";
import type { MethodDefinition } from "./method.ts";

/** NegGrad+ (Kurmanji et al., NeurIPS 2023): balance · L_r − (1 − balance) · L_f, both on own targets. */
export const neggradPlus = {
  name: "neggrad-plus",
  source: "https://arxiv.org/abs/2302.09880",
  uses: { forget: true, retain: true },
  settings: {
    balance: {
      value: 0.95,
      minimum: 0,
      maximum: 1,
      what: "share of the retain loss against the forget loss",
    },
  },
  objective: "utility",
  losses: [
    ({ forgetMean, retainMean }, { setting }) =>
      tf.sub(tf.mul(retainMean, setting("balance")), tf.mul(forgetMean, 1 - setting("balance"))),
  ],
} satisfies MethodDefinition;
