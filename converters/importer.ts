import { traceShapes } from "./compile/compile.ts";
import { importGraph } from "./import/graph.ts";
import type { ImportOptions, TrainableModel } from "./import/model.ts";
import type { OnnxModel } from "./onnx/model.ts";

/**
 * Imports an ONNX file as a trainable tfjs graph. Shapes are found by running it on the compiler's symbolic
 * tensors, which hold no values.
 * @throws notTrainable (exit 3) naming node, operator and reason; badInput (exit 2) for a damaged graph
 */
export const importModel = (source: OnnxModel, options: ImportOptions = {}): TrainableModel =>
  importGraph(source, options, (use, types) => {
    traceShapes(
      (carry, tensors) => {
        use(tensors);
        return { carry, results: {} };
      },
      { carry: {}, batch: types },
    );
  });
