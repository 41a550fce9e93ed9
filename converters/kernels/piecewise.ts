import { tf } from "../tf.ts";

/**
 * Inputs of comparisons, logic and arg-reductions, by kernel. They are piecewise constant: their gradient is
 * zero wherever it exists. tfjs defines none for most of them, and refuses to differentiate a graph with one
 * between weight and loss.
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
