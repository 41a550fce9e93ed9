import { tf } from "../tf.ts";

/**
 * Comparisons, logic and arg-reductions are piecewise constant: their gradient is zero wherever it exists. tfjs leaves
 * most of them without one and then refuses every graph in which such a value stands between a weight and the loss.
 */
const PIECEWISE_CONSTANT: Readonly<Record<string, readonly string[]>> = {
  Equal: ["a", "b"],
  NotEqual: ["a", "b"],
  Greater: ["a", "b"],
  Less: ["a", "b"],
  LessEqual: ["a", "b"],
  LogicalAnd: ["a", "b"],
  LogicalOr: ["a", "b"],
  LogicalNot: ["x"],
  IsNan: ["x"],
  ArgMax: ["x"],
  ArgMin: ["x"],
};

for (const [kernelName, inputs] of Object.entries(PIECEWISE_CONSTANT))
  if (!tf.getGradient(kernelName))
    tf.registerGradient({
      kernelName,
      inputsToSave: [...inputs],
      gradFunc: (_dy, saved) =>
        Object.fromEntries(inputs.map((name, i) => [name, () => tf.zeros(saved[i]!.shape)])),
    });
