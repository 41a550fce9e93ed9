import { elementCount } from "../dims.ts";
import { tf } from "../tf.ts";
import { BACKEND, type OnnxBackend, tracingBackend } from "./backend.ts";
import { registerGradients } from "./gradients.ts";
import { overwritable } from "./in-place.ts";
import type { CompiledGraph, StepFunction, StepSignature, TensorSpec, Tensors } from "./step.ts";

const STOP = "stop";

export interface CompileOptions {
  /**
   * Channels per block of ONNX Runtime's blocked convolution layout on the machine that will run the graph; 0 (default):
   * do without it. A wrong number gives wrong results, so it must have been probed.
   */
  readonly block?: number;
  /**
   * The caller gives the memory for every output, see src/engine/onnxruntime.ts: the first one is no tensor but a sequence (schedule.ts),
   * and there are further ones that share the memory of others.
   */
  readonly givenMemory?: boolean;
}

/** Calls `use` with the tracing backend as tfjs's own, and tidies up behind it. */
function whileTracing<T>(
  { block = 0, shapesOnly = false }: { readonly block?: number; readonly shapesOnly?: boolean },
  use: (trace: OnnxBackend) => T,
): T {
  const trace = tracingBackend();
  const previous = tf.getBackend();
  tf.setBackend(BACKEND);
  trace.begin(block, shapesOnly);
  tf.engine().startScope("trace");
  try {
    return use(trace);
  } finally {
    tf.engine().endScope();
    if (previous) tf.setBackend(previous);
  }
}

const symbolic = (trace: OnnxBackend, name: string, { shape, dtype }: TensorSpec): tf.Tensor =>
  tf.engine().makeTensorFromTensorInfo(trace.input(name, shape, dtype));

const specsOf = (tensors: Tensors): Readonly<Record<string, TensorSpec>> =>
  Object.fromEntries(
    Object.entries(tensors).map(([key, { shape, dtype }]) => [
      key,
      { shape: [...shape], dtype: dtype as TensorSpec["dtype"] },
    ]),
  );

/** Shapes and types of a step's results, from one call that differentiates nothing on symbolic tensors; no graph is made. @throws as {@link compileStep} */
export const traceShapes = (
  step: StepFunction,
  { carry, batch }: StepSignature,
): Readonly<Record<string, TensorSpec>> =>
  whileTracing({ shapesOnly: true }, (trace) => {
    const bind = (specs: Readonly<Record<string, TensorSpec>>): Tensors =>
      Object.fromEntries(Object.entries(specs).map(([key, spec]) => [key, symbolic(trace, key, spec)]));
    return specsOf(step(bind(carry), bind(batch)).results);
  });

/**
 * Records one call of a step function, tfjs's autodiff inside included, as one ONNX graph.
 * @throws Error if the step reads a value, or uses a kernel the compiler has no lowering for (the message names it)
 */
export function compileStep(
  step: StepFunction,
  signature: StepSignature,
  { block = 0, givenMemory = false }: CompileOptions = {},
): CompiledGraph {
  registerGradients();
  return whileTracing({ block }, (trace) => {
    const graphInputs: { name: string; shape: readonly number[]; dtype: string }[] = [];
    const bind = (specs: Readonly<Record<string, TensorSpec>>, prefix: string) => {
      const tensors: Record<string, tf.Tensor> = {};
      const names: Record<string, string> = {};
      Object.entries(specs).forEach(([key, { shape, dtype }], i) => {
        const name = `${prefix}${i}`;
        names[key] = name;
        graphInputs.push({ name, shape, dtype });
        tensors[key] = symbolic(trace, name, { shape, dtype });
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
    const keys = Object.keys(signature.carry);
    const successors = new Map(keys.map((key) => [carry.names[key]!, outputs.carry[key]!]));
    const given = new Set(Object.values(batch.names));
    const { bytes, nodes, nodeCounts, precursors, heads, neighbours } = trace.finish(
      graphInputs,
      graphOutputs,
      givenMemory ? { stop: STOP, successors, given } : {},
    );
    const written = [...graphOutputs, ...precursors].map(({ name }) => name);
    const overwrites = overwritable(nodes, new Set(written));
    /** What is written into the memory of an output first. */
    const first = (output: string) => precursors.find((value) => value.output === output)?.name ?? output;
    const inPlace = keys.filter((key) => overwrites(carry.names[key]!, first(outputs.carry[key]!)));
    for (const { resting } of neighbours)
      if (!inPlace.some((key) => carry.names[key] === resting))
        throw new Error(`"${resting}" lies beside its velocity, but cannot be written in place`);
    // What no node reads is no input then.
    const read = new Set(nodes.flatMap((node) => node.inputs));
    const used = (names: Readonly<Record<string, string>>) =>
      givenMemory ? Object.fromEntries(Object.entries(names).filter(([, name]) => read.has(name))) : names;
    const keyOf = (names: Readonly<Record<string, string>>, wanted: string) =>
      Object.keys(names).find((key) => names[key] === wanted)!;
    return {
      bytes,
      inputs: { carry: used(carry.names), batch: used(batch.names) },
      outputs,
      inPlace,
      ...(givenMemory ? { stop: STOP } : {}),
      precursors,
      heads: heads.map(({ name, of, shape, dtype }) => ({
        ...{ name, key: keyOf(batch.names, of), spec: { shape, dtype: dtype as TensorSpec["dtype"] } },
      })),
      neighbours: neighbours.map(({ moving, resting, ...rest }) => ({
        ...rest,
        moving: keyOf(carry.names, moving),
        resting: keyOf(carry.names, resting),
      })),
      valueBytes:
        4 * nodes.reduce((sum, { shapes }) => sum + shapes.reduce((s, d) => s + elementCount(d), 0), 0),
      resultSpecs: specsOf(out.results),
      nodeCounts,
    };
  });
}
