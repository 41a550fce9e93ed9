import type { Method, UnlearnOptions } from "../../src/unlearn/types.ts";

/** One run of the reproduction; its name is its file. */
export interface Experiment {
  readonly name: string;
  readonly scenario: "random" | "class";
  readonly phase: "search" | "final";
  readonly method: Method;
  readonly seed: number;
  readonly options: Partial<UnlearnOptions> & { readonly lr: number; readonly epochs: number };
}

/** Learning rates tried, at one epoch and one seed, the same effort for every method: half decades around what its paper uses. */
const RATES: Readonly<Partial<Record<Method, readonly number[]>>> = {
  eupmu: [1e-4, 3e-4, 1e-3],
  "eupmu-fast": [3e-4, 1e-3, 3e-3],
  explicit: [1e-4, 3e-4, 1e-3],
  finetune: [1e-3, 3e-3, 1e-2],
  "random-label": [1e-4, 3e-4, 1e-3],
  salun: [3e-4, 1e-3, 3e-3],
  "neggrad-plus": [1e-4, 3e-4, 1e-3],
  scrub: [1e-4, 3e-4, 1e-3],
};
export const compared = Object.keys(RATES) as Method[];

/** The authors' constants (METHOD section 3); the forget objective by scenario. */
function constants(method: Method, scenario: Experiment["scenario"]): Partial<UnlearnOptions> {
  if (scenario === "class") return { epsilon: -0.05 };
  if (method === "eupmu-fast") return { epsilon: -0.06, beta: 0.5 };
  return method === "scrub" ? { epsilon: -0.01, settings: { forgetEpochs: 1 } } : { epsilon: -0.01 };
}

const text = (lr: number) => lr.toExponential();

export const searches = (scenario: Experiment["scenario"], method: Method): Experiment[] =>
  RATES[method]!.map((lr) => ({
    name: `${scenario}_search_${method}_${text(lr)}`,
    scenario,
    phase: "search",
    method,
    seed: 0,
    options: { ...constants(method, scenario), lr, epochs: 1 },
  }));

export const finals = (scenario: Experiment["scenario"], method: Method, lr: number): Experiment[] =>
  [0, 1, 2].map((seed) => ({
    name: `${scenario}_final_${method}_${text(lr)}_seed${seed}`,
    scenario,
    phase: "final",
    method,
    seed,
    options: { ...constants(method, scenario), lr, epochs: 3 },
  }));
