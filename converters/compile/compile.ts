// Registers the gradients of all tfjs kernels.
import "@tensorflow/tfjs-layers";
import * as tf from "@tensorflow/tfjs-core";
import { BACKEND, tracingBackend } from "./backend.ts";
import { overwritable } from "./in-place.ts";
import type { CompiledGraph, StepFunction, StepSignature, TensorSpec } from "./step.ts";

const STOP = "stop";

export interface CompileOptions {
  /**
   * Channels per block of ONNX Runtime's blocked convolution layout on the machine that will run the graph; 0 (default):
   * do without it. A wrong number gives wrong results, so it must have been probed.
   */
  readonly block?: number;
  /** Puts an output before all others that is no tensor but an empty sequence: see src/engine/onnxruntime.ts. */
  readonly stop?: boolean;
}

/**
 * Records one call of a step function, tfjs's autodiff inside included, as one ONNX graph.
 * @throws Error if the step reads a value, or uses a kernel the compiler has no lowering for (the message names it)
 */
export function compileStep(
  step: StepFunction,
  signature: StepSignature,
  { block = 0, stop = false }: CompileOptions = {},
): CompiledGraph {
  const trace = tracingBackend();
  const previous = tf.getBackend();
  tf.setBackend(BACKEND);
  trace.begin(block);
  tf.engine().startScope("compileStep");
  try {
    const graphInputs: { name: string; shape: readonly number[]; dtype: string }[] = [];
    const bind = (specs: Readonly<Record<string, TensorSpec>>, prefix: string) => {
      const tensors: Record<string, tf.Tensor> = {};
      const names: Record<string, string> = {};
      Object.entries(specs).forEach(([key, { shape, dtype }], i) => {
        const name = `${prefix}${i}`;
        names[key] = name;
        graphInputs.push({ name, shape, dtype });
        tensors[key] = tf.engine().makeTensorFromTensorInfo(trace.input(name, shape, dtype));
      });
      return { tensors, names };
    };
    const carry = bind(signature.carry, "carry");
    const batch = bind(signature.batch, "batch");
    const out = step(carry.tensors, batch.tensors);

    const graphOutputs: { name: string; shape: readonly number[]; dtype: string }[] = [];
    const collect = (tensors: Readonly<Record<string, tf.Tensor>>) =>
      Object.fromEntries(
        Object.entries(tensors).map(([key, tensor]) => {
          const name = trace.output(tensor);
          graphOutputs.push({ name, shape: tensor.shape, dtype: tensor.dtype });
          return [key, name];
        }),
      );
    for (const key of Object.keys(signature.carry)) {
      const returned = out.carry[key];
      if (!returned) throw new Error(`the step did not hand back carry "${key}"`);
      const wanted = signature.carry[key]!;
      if (returned.shape.join() !== wanted.shape.join())
        throw new Error(
          `carry "${key}" came back with shape [${returned.shape}] instead of [${wanted.shape}]`,
        );
    }
    const outputs = { carry: collect(out.carry), results: collect(out.results) };
    const { bytes, nodes, nodeCounts } = trace.finish(graphInputs, graphOutputs, stop ? STOP : undefined);
    const overwrites = overwritable(nodes);
    const inPlace = Object.keys(signature.carry).filter((key) =>
      overwrites(carry.names[key]!, outputs.carry[key]!),
    );
    const resultSpecs = Object.fromEntries(
      Object.entries(out.results).map(([key, t]) => [
        key,
        { shape: [...t.shape], dtype: t.dtype as TensorSpec["dtype"] },
      ]),
    );
    return {
      bytes,
      inputs: { carry: carry.names, batch: batch.names },
      outputs,
      inPlace,
      ...(stop ? { stop: STOP } : {}),
      resultSpecs,
      nodeCounts,
    };
  } finally {
    tf.engine().endScope();
    if (previous) tf.setBackend(previous);
  }
}
