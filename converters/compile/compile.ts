import { elementCount } from "../dims.ts";
import { tf } from "../tf.ts";
import { BACKEND, type OnnxBackend, tracingBackend } from "./backend.ts";
import { registerGradients } from "./gradients.ts";
import type { GraphValue } from "./graph-builder.ts";
import { overwritable } from "./in-place.ts";
import type { CompiledGraph, StepFunction, StepSignature, TensorSpec, Tensors } from "./step.ts";

const STOP = "stop";

export interface CompileOptions {
  /**
   * Channels per block of ONNX Runtime's blocked convolution layout on the machine that runs the graph; 0
   * (default) compiles row-major only. A wrong number gives wrong results: detect it (src/engine/block.ts).
   */
  readonly block?: number;
  /**
   * The caller allocates the memory of all inputs and outputs, as src/engine/onnxruntime.ts does. The graph
   * then has further inputs and outputs that share memory (see {@link CompiledGraph}), and its first output
   * is a sequence.
   */
  readonly preallocated?: boolean;
}

/** Calls `use` while the tracing backend is tfjs's current one, then disposes of its tensors. */
function whileTracing<T>(
  { block = 0, shapesOnly = false }: { readonly block?: number; readonly shapesOnly?: boolean },
  use: (builder: OnnxBackend) => T,
): T {
  const builder = tracingBackend();
  const previous = tf.getBackend();
  tf.setBackend(BACKEND);
  builder.begin(block, shapesOnly);
  tf.engine().startScope("trace");
  try {
    return use(builder);
  } finally {
    tf.engine().endScope();
    if (previous) tf.setBackend(previous);
  }
}

const symbolic = (builder: OnnxBackend, name: string, { shape, dtype }: TensorSpec): tf.Tensor =>
  tf.engine().makeTensorFromTensorInfo(builder.input(name, shape, dtype));

const specsOf = (tensors: Tensors): Readonly<Record<string, TensorSpec>> =>
  Object.fromEntries(
    Object.entries(tensors).map(([key, { shape, dtype }]) => [
      key,
      { shape: [...shape], dtype: dtype as TensorSpec["dtype"] },
    ]),
  );

/**
 * Shapes and types of a step's results, from one call on symbolic tensors. No graph is made, and nothing may
 * be differentiated in the step.
 * @throws as {@link compileStep}
 */
export const traceShapes = (
  step: StepFunction,
  { carry, batch }: StepSignature,
): Readonly<Record<string, TensorSpec>> =>
  whileTracing({ shapesOnly: true }, (builder) => {
    const bind = (specs: Readonly<Record<string, TensorSpec>>): Tensors =>
      Object.fromEntries(Object.entries(specs).map(([key, spec]) => [key, symbolic(builder, key, spec)]));
    return specsOf(step(bind(carry), bind(batch)).results);
  });

/**
 * Records one call of a step function, including autodiff and optimiser update, as one ONNX graph.
 * @throws Error if the step reads a tensor's value, or uses a kernel without a lowering (the message names
 *   it)
 */
export function compileStep(
  step: StepFunction,
  signature: StepSignature,
  { block = 0, preallocated = false }: CompileOptions = {},
): CompiledGraph {
  registerGradients();
  return whileTracing({ block }, (builder) => {
    const graphInputs: GraphValue[] = [];
    const bind = (specs: Readonly<Record<string, TensorSpec>>, prefix: string) => {
      const tensors: Record<string, tf.Tensor> = {};
      const names: Record<string, string> = {};
      Object.entries(specs).forEach(([key, { shape, dtype }], i) => {
        const name = `${prefix}${i}`;
        names[key] = name;
        graphInputs.push({ name, shape, dtype });
        tensors[key] = symbolic(builder, name, { shape, dtype });
      });
      return { tensors, names };
    };
    const carry = bind(signature.carry, "carry");
    const batch = bind(signature.batch, "batch");
    const out = step(carry.tensors, batch.tensors);

    const graphOutputs: GraphValue[] = [];
    const collect = (tensors: Readonly<Record<string, tf.Tensor>>) =>
      Object.fromEntries(
        Object.entries(tensors).map(([key, tensor]) => {
          const name = builder.output(tensor);
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
    const keys = Object.keys(signature.carry);
    const successors = new Map(keys.map((key) => [carry.names[key]!, outputs.carry[key]!]));
    const batchInputs = new Set(Object.values(batch.names));
    const { bytes, nodes, nodeCounts, precursors, leadingRows, velocityPairs } = builder.finish(
      graphInputs,
      graphOutputs,
      preallocated ? { stop: STOP, successors, batchInputs } : {},
    );
    const written = [...graphOutputs, ...precursors].map(({ name }) => name);
    const overwrites = overwritable(nodes, new Set(written));
    /** The first value written into the memory of an output. */
    const firstIn = (output: string) => precursors.find((value) => value.output === output)?.name ?? output;
    const inPlace = keys.filter((key) => overwrites(carry.names[key]!, firstIn(outputs.carry[key]!)));
    for (const { weight } of velocityPairs)
      if (!inPlace.some((key) => carry.names[key] === weight))
        throw new Error(`"${weight}" lies beside its velocity, but cannot be written in place`);
    // A preallocated graph has no inputs that no node reads.
    const read = new Set(nodes.flatMap((node) => node.inputs));
    const used = (names: Readonly<Record<string, string>>) =>
      preallocated ? Object.fromEntries(Object.entries(names).filter(([, name]) => read.has(name))) : names;
    const keyOf = (names: Readonly<Record<string, string>>, wanted: string) =>
      Object.keys(names).find((key) => names[key] === wanted)!;
    return {
      bytes,
      inputs: { carry: used(carry.names), batch: used(batch.names) },
      outputs,
      inPlace,
      ...(preallocated ? { stop: STOP } : {}),
      precursors,
      leadingRows: leadingRows.map(({ name, of, shape, dtype }) => ({
        ...{ name, key: keyOf(batch.names, of), spec: { shape, dtype: dtype as TensorSpec["dtype"] } },
      })),
      velocityPairs: velocityPairs.map(({ velocity, weight, ...rest }) => ({
        ...rest,
        velocity: keyOf(carry.names, velocity),
        weight: keyOf(carry.names, weight),
      })),
      valueBytes:
        4 * nodes.reduce((sum, { shapes }) => sum + shapes.reduce((s, d) => s + elementCount(d), 0), 0),
      resultSpecs: specsOf(out.results),
      nodeCounts,
    };
  });
}
