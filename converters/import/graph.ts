import { badInput, notTrainable, OnnxUnlearnError } from "../errors.ts";
import { requiredNodes } from "../graph/order.ts";
import { writableTensors } from "../graph/payloads.ts";
import { type QuantisedWeight, quantisedWeights } from "../graph/quantised-weights.ts";
import { allNodes, initializersOf } from "../graph/subgraphs.ts";
import type { OnnxModel, OnnxNode } from "../onnx/model.ts";
import { tf } from "../tf.ts";
import { piecesOf, type Rebatching, type Shapes } from "./batch.ts";
import { foldBatchNormalization } from "./fold.ts";
import { findHead } from "./head.ts";
import type {
  Batching,
  CallWithoutValues,
  ImportOptions,
  Parameter,
  TensorType,
  TrainableModel,
} from "./model.ts";
import { normalizeGraph } from "./normalize.ts";
import { QuantizeLinear } from "./ops/quantization.ts";
import { selectParameters } from "./parameters.ts";
import { findFrozenPrefix, findPrefix, type Prefix } from "./prefix.ts";
import { planGraph, type RunOptions, runGraph } from "./run.ts";
import { dimsOf, host, hostFromOnnx, tensorTypeOf, toTensor, type Value } from "./value.ts";

/**
 * Operators that only graphs for training hold: gradients, optimisers, and ONNX Runtime's marks between both
 * passes.
 */
const TRAINING =
  /Grad(_\d+)?$|Grad_dX$|^(SGD|Adam|Adagrad|Momentum|Gradient|YieldOp|InPlaceAccumulator(V2)?|LambOptimizer|AdamOptimizer|SGDOptimizer(V2)?|AdamWOptimizer)$/;

/** @throws notTrainable TRAINING_GRAPH if the file already contains a backward pass */
function refuseTrainingGraph({ graph }: OnnxModel): void {
  const node = allNodes(graph.nodes).find(({ opType }) => TRAINING.test(opType));
  if (node)
    throw notTrainable(
      "TRAINING_GRAPH",
      `This is already a training graph (it holds ${node.opType} "${node.name || node.outputs[0]}"), whose outputs are losses and gradients; give the model exported for inference.`,
    );
}

/** Quantises a float weight to its codes, with the straight-through gradient. */
const codesOf = (master: tf.Tensor, { scale, zero, tensor, axis }: QuantisedWeight): Value =>
  QuantizeLinear(
    [master, hostFromOnnx(scale), zero ? hostFromOnnx(zero) : host(tensor.dtype, [], [0])],
    { axis },
    {
      node: { name: "", opType: "", domain: "", inputs: [], outputs: [], attributes: {} },
      opset: 21,
      where: tensor.name,
    },
  );

/** @throws notTrainable LOGITS_NOT_CLASSES if more than one axis besides the batch is longer than 1 */
export function requireClasses(shape: readonly number[], name: string): void {
  if (shape.filter((d, i) => i > 0 && d !== 1).length > 1)
    throw notTrainable(
      "LOGITS_NOT_CLASSES",
      `The logits "${name}" have shape [${shape}], not [batch, classes]; choose another value of the graph.`,
    );
}

/** Logits as [batch, classes]. @throws as {@link requireClasses} */
function asClasses(logits: tf.Tensor, name: string): tf.Tensor {
  if (logits.rank === 2) return logits;
  if (logits.rank <= 1) return tf.reshape(logits, [logits.size, 1]);
  requireClasses(logits.shape, name);
  const rows = logits.shape[0]!;
  return tf.reshape(logits, [rows, logits.size / rows]);
}

/**
 * The properties of a graph that do not depend on where it is cut: logits, inputs, weights and which are
 * trained.
 */
function factsOf(source: OnnxModel, options: ImportOptions) {
  refuseTrainingGraph(source);
  const graph = normalizeGraph(source);
  const head = findHead(graph, options.logits);
  const inputNames = new Set(graph.inputs.map(({ name }) => name));
  const quantised = quantisedWeights(graph);
  const writable = writableTensors(source.bytes);
  const facts = { quantised, isWritable: (name: string) => writable.has(name) };
  const select = (among: readonly OnnxNode[], fixed?: ReadonlyMap<string, string>) =>
    selectParameters(allNodes(among), initializersOf(graph), inputNames, options, {
      ...facts,
      ...(fixed ? { fixed } : {}),
    });
  const needed = requiredNodes(graph, [head.logits]);
  const cut = findPrefix(graph, head.logits, source.opsets);
  const after = cut && weightsAfter(cut, select);
  const parameters = after ?? select(needed);
  const trainable = new Set(parameters.filter((p) => p.trainable).map((p) => p.name));
  const inputsOf = (among: readonly OnnxNode[]) => {
    const used = new Set(allNodes(among).flatMap((node) => node.inputs));
    return graph.inputs.filter(({ name }) => used.has(name));
  };
  const inputs = inputsOf(needed);
  const fixedBatch = fixedBatchOf(inputs);
  const ranks = new Map(parameters.map(({ name, dims }) => [name, dims.length]));
  return {
    ...{ source, graph, head, quantised, parameters, trainable, ranks, needed, inputs, inputsOf, fixedBatch },
    // Set if the graph begins with operators that only ONNX Runtime can run.
    prefix: after && cut,
  };
}
type Facts = ReturnType<typeof factsOf>;

/**
 * Imports an ONNX file as a trainable tfjs graph.
 * @param withoutValues runs a function on tensors without values; importer.ts passes the compiler's
 * @throws notTrainable (exit 3) naming node, operator and reason; badInput (exit 2) for a damaged graph
 */
export function importGraph(
  source: OnnxModel,
  options: ImportOptions,
  withoutValues: CallWithoutValues,
): TrainableModel {
  const facts = factsOf(source, options);
  return trainableGraph(facts, facts.prefix, withoutValues);
}

/** The trainable graph after a prefix that ONNX Runtime computes; without a prefix, the whole graph. */
function trainableGraph(
  facts: Facts,
  prefix: Omit<Prefix, "fixed"> | undefined,
  withoutValues: CallWithoutValues,
): TrainableModel {
  const { source, graph, head, quantised, parameters, trainable, ranks } = facts;
  const { needed, inputs, inputsOf, fixedBatch } = facts;
  const nodes = prefix?.rest ?? needed;
  const frontier = prefix?.frontier ?? [];
  const unfolded = planGraph(
    graph,
    [head.logits],
    source.opsets,
    (name) => trainable.has(name),
    new Set(frontier),
  );
  // A subgraph may read the value between a convolution and its BatchNormalization.
  const plan = unfolded.nodes.some(({ subgraphs }) => subgraphs)
    ? unfolded
    : { ...unfolded, nodes: foldBatchNormalization(unfolded.nodes, head.logits) };
  const stepInputs = prefix
    ? [...inputsOf(nodes), ...frontier.map((name) => ({ name, dtype: undefined, dims: undefined }))]
    : inputs;
  // Autodiff fails for a weight that the loss does not depend on, such as one in a branch not taken. Such
  // weights get a gradient of 0.
  const direct = new Set(nodes.flatMap((node) => node.inputs));
  const conditional = [...trainable].filter((name) => !direct.has(name));

  const run = (
    weights: Readonly<Record<string, tf.Tensor>>,
    batch: Readonly<Record<string, tf.Tensor>>,
    runOptions: RunOptions = {},
  ): tf.Tensor => {
    const values = new Map<string, Value>(plan.constants);
    for (const name of trainable) {
      const weight = weights[name];
      if (!weight) throw new Error(`apply() needs the weight "${name}"`);
      const grid = quantised.get(name);
      values.set(name, grid ? codesOf(weight, grid) : weight);
    }
    for (const { name } of stepInputs) {
      const tensor = batch[name];
      if (!tensor) throw badInput("INPUT_MISSING", `The model input "${name}" was not given.`);
      values.set(name, tensor);
      runOptions.onValue?.(name, tensor);
    }
    if (runOptions.onValue) for (const [name, value] of values) runOptions.onValue(name, value);
    runGraph(plan, values, runOptions);
    let logits = toTensor(values.get(head.logits)!);
    if (logits.dtype !== "float32") logits = tf.cast(logits, "float32");
    for (const name of conditional)
      logits = tf.add(logits, tf.mul(tf.sum(values.get(name) as tf.Tensor), tf.scalar(0)));
    return logits;
  };

  const specs = (rows: number) => inputSpecs(inputs, fixedBatch, rows);
  const weightTypes = Object.fromEntries(
    parameters
      .filter(({ name }) => trainable.has(name))
      .map(({ name, dims }) => [name, { shape: [...dims], dtype: "float32" } satisfies TensorType]),
  );
  const dryRun: DryRun = (batch, runOptions) =>
    withoutValues((tensors) => run(tensors, tensors, runOptions), { ...weightTypes, ...batch });
  const { batching, reference } =
    prefix && fixedBatch !== undefined
      ? splitFor(fixedBatch, "it begins with operators that ONNX Runtime runs at that batch size")
      : chooseBatching(fixedBatch, specs, dryRun);

  const forward: TrainableModel["forward"] = (weights, batch) => {
    if (batching.kind === "free") return run(weights, batch);
    const [first] = stepInputs;
    const rows = first ? (batch[first.name]?.shape[0] ?? batching.size) : batching.size;
    if (rows === batching.size) return run(weights, batch);
    if (batching.kind === "rebatched")
      return run(weights, batch, {
        rebatching: {
          reference: reference!,
          from: batching.size,
          to: rows,
          adapts: true,
        } satisfies Rebatching,
      });
    if (rows % batching.size !== 0)
      throw badInput(
        "BATCH_SIZE",
        `This model runs ${batching.size} samples at a time (${batching.because}), so a batch of ${rows} cannot be cut into whole ones; choose a batch size that is a multiple of ${batching.size}.`,
      );
    const parts = rows / batching.size;
    const outputs = piecesOf(batch, parts).map((piece) => run(weights, piece));
    return outputs[0]!.rank === 0 ? tf.stack(outputs) : tf.concat(outputs, 0);
  };
  const apply: TrainableModel["apply"] = (weights, batch) => asClasses(forward(weights, batch), head.logits);
  const shapes: TrainableModel["shapes"] = (given) => {
    const own = fixedBatch === undefined ? undefined : specs(fixedBatch);
    if (reference && own && inputs.every(({ name }) => given[name]!.join() === own[name]!.shape.join()))
      return reference;
    const found = new Map<string, readonly number[]>();
    const batch = Object.fromEntries(
      inputs.map(({ name, dtype }) => [
        name,
        { shape: [...given[name]!], dtype: tensorTypeOf(dtype ?? "float32") } satisfies TensorType,
      ]),
    );
    dryRun(batch, { onValue: (name, value) => found.set(name, dimsOf(value)) });
    return found;
  };
  const mixes: TrainableModel["mixes"] = (given) => {
    if (batching.kind !== "free") return batching.kind === "split" ? batching.because : undefined;
    const [first] = Object.values(given);
    const rows = first?.shape[0] ?? 1;
    const doubled = Object.fromEntries(
      Object.entries(given).map(([name, { shape, dtype }]) => [
        name,
        { shape: [2 * rows, ...shape.slice(1)], dtype },
      ]),
    );
    return runTwice(rows, given, doubled, dryRun, false).because;
  };
  const model: TrainableModel = {
    source,
    parameters,
    inputs,
    stepInputs,
    frontier,
    fixedBatch,
    batching,
    head,
    apply,
    forward,
    shapes,
    mixes,
    cutAtWeights: () => {
      const frozen =
        fixedBatch === undefined ? findFrozenPrefix(graph, head.logits, trainable, ranks) : undefined;
      return frozen ? trainableGraph(facts, frozen, withoutValues) : model;
    },
  };
  return model;
}

/** The weights after a prefix; undefined if none of them is trained. */
function weightsAfter(
  { rest, fixed }: Prefix,
  select: (among: readonly OnnxNode[], fixed: ReadonlyMap<string, string>) => Parameter[],
): Parameter[] | undefined {
  try {
    return select(rest, fixed);
  } catch (error) {
    if (error instanceof OnnxUnlearnError && error.exitCode === 3) return undefined;
    throw error;
  }
}

/** The fixed batch size of the first input that has dimensions. */
function fixedBatchOf(inputs: TrainableModel["inputs"]): number | undefined {
  const first = inputs.find(({ dims }) => dims !== undefined && dims.length > 0);
  return typeof first?.dims?.[0] === "number" ? first.dims[0] : undefined;
}

/** Types of the inputs for `rows` samples; undefined if a dimension besides the batch is open. */
function inputSpecs(
  inputs: TrainableModel["inputs"],
  fixedBatch: number | undefined,
  rows: number,
): Record<string, TensorType> | undefined {
  const specs: Record<string, TensorType> = {};
  for (const { name, dims, dtype } of inputs) {
    if (!dims || fixedBatch === undefined) return undefined;
    const shape = dims.map((d, i) => (i === 0 && typeof d === "number" ? (d / fixedBatch) * rows : d));
    if (!shape.every((d): d is number => typeof d === "number" && Number.isInteger(d))) return undefined;
    specs[name] = { shape, dtype: tensorTypeOf(dtype ?? "float32") };
  }
  return specs;
}

const splitFor = (size: number, because: string, reference?: Shapes) => ({
  batching: { kind: "split", size, because } as const,
  reference,
});

/** Runs the graph for inputs of these types without computing anything. */
type DryRun = (batch: Readonly<Record<string, TensorType>>, options: RunOptions) => void;

/**
 * Finds shapes at `rows` samples and at twice as many. Every value must have the batch in one axis or not at
 * all, and no node may mix samples.
 * @returns the shapes at `rows` samples and, if samples depend on each other, why
 */
function runTwice(
  rows: number,
  own: Readonly<Record<string, TensorType>>,
  doubled: Readonly<Record<string, TensorType>>,
  dryRun: DryRun,
  adapts: boolean,
): { readonly reference: Shapes; readonly because?: string } {
  const reference = new Map<string, readonly number[]>();
  dryRun(own, { onValue: (name, value) => reference.set(name, dimsOf(value)) });
  try {
    dryRun(doubled, {
      rebatching: { reference, from: rows, to: 2 * rows, adapts },
      onMixing: (where, why) => {
        throw notTrainable("BATCH_MIXED", `${where}: ${why}`);
      },
    });
  } catch (error) {
    return { reference, because: (error as Error).message };
  }
  return { reference };
}

/** Decides whether a graph with a fixed batch size can run at another. */
function chooseBatching(
  fixedBatch: number | undefined,
  specs: (rows: number) => Record<string, TensorType> | undefined,
  dryRun: DryRun,
): { batching: Batching; reference: Shapes | undefined } {
  if (fixedBatch === undefined) return { batching: { kind: "free" }, reference: undefined };
  const [own, doubled] = [specs(fixedBatch), specs(2 * fixedBatch)];
  if (!own || !doubled) return splitFor(fixedBatch, "its inputs have open dimensions besides a fixed batch");
  const { reference, because } = runTwice(fixedBatch, own, doubled, dryRun, true);
  return because === undefined
    ? { batching: { kind: "rebatched", size: fixedBatch }, reference }
    : splitFor(fixedBatch, because, reference);
}
