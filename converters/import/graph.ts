import * as tf from "@tensorflow/tfjs-core";
import { badInput, notTrainable, OnnxUnlearnError } from "../errors.ts";
import type { OnnxModel, OnnxNode } from "../onnx/model.ts";
import { foldBatchNormalization } from "./fold.ts";
import { findHead } from "./head.ts";
import type { ImportOptions, TrainableModel } from "./model.ts";
import { requiredNodes } from "./order.ts";
import { selectParameters } from "./parameters.ts";
import { describeNode, getOperator, type Operator } from "./registry.ts";
import { dimsOf, host, hostFromOnnx, isHost, toTensor, type Value } from "./value.ts";

interface PlannedNode {
  readonly node: OnnxNode;
  readonly run: Operator;
  readonly opset: number;
  readonly where: string;
}

/** Runs one operator; what goes wrong inside becomes a sentence with the node's name. */
export function runNode(planned: PlannedNode, values: ReadonlyMap<string, Value>): readonly Value[] {
  const { node, run, opset, where } = planned;
  const inputs = node.inputs.map((name) => {
    if (!name) return undefined;
    const value = values.get(name);
    if (value === undefined) throw badInput("VALUE_UNKNOWN", `${where}: input "${name}" has no value.`);
    return value;
  });
  try {
    const result = run(inputs, node.attributes as never, { node, opset, where });
    return Array.isArray(result) ? result : [result];
  } catch (error) {
    if (error instanceof OnnxUnlearnError) throw error;
    const shapes = inputs.map((v) => (v ? `[${dimsOf(v)}]` : "-")).join(", ");
    throw notTrainable("OPERATOR_FAILED", `${where}: ${(error as Error).message} (input shapes ${shapes}).`);
  }
}

/**
 * A graph exported with a batch of 1 has it baked into constants such as Reshape [1, 512]: where a leading 1 is the only
 * thing that does not fit, it meant "the batch".
 */
function rebatchReshape(
  planned: PlannedNode,
  values: Map<string, Value>,
  batch: number,
): ReadonlyMap<string, Value> {
  const { node } = planned;
  if (node.opType !== "Reshape" || batch === 1) return values;
  const [data, shape] = [values.get(node.inputs[0]!), values.get(node.inputs[1] ?? "")];
  const target =
    shape && isHost(shape)
      ? Array.from(shape.array.data)
      : (node.attributes["shape"] as number[] | undefined);
  if (!data || isHost(data) || !target || target[0] !== 1 || dimsOf(data)[0] !== batch) return values;
  const rest = dimsOf(data)
    .slice(1)
    .reduce((a, b) => a * b, 1);
  const known = target
    .slice(1)
    .filter((d) => d > 0)
    .reduce((a, b) => a * b, 1);
  if (target.includes(-1) ? rest % known !== 0 : known !== rest) return values;
  return new Map(values).set(node.inputs[1]!, host("int64", [target.length], [batch, ...target.slice(1)]));
}

/** Logits as [batch, classes]. @throws notTrainable LOGITS_NOT_CLASSES where more than one axis besides the batch is wide */
function asClasses(logits: tf.Tensor, name: string): tf.Tensor {
  if (logits.rank === 2) return logits;
  if (logits.rank <= 1) return tf.reshape(logits, [logits.size, 1]);
  const rows = logits.shape[0]!;
  const spread = logits.shape.filter((d, i) => i > 0 && d !== 1);
  if (spread.length > 1)
    throw notTrainable(
      "LOGITS_NOT_CLASSES",
      `The logits "${name}" have shape [${logits.shape}], not [batch, classes]; choose another value with --logits NAME.`,
    );
  return tf.reshape(logits, [rows, logits.size / rows]);
}

/**
 * Imports an ONNX file as a trainable tfjs graph.
 * @throws notTrainable (exit 3) naming node, operator and reason; badInput (exit 2) for a damaged graph
 */
export function importModel(source: OnnxModel, options: ImportOptions = {}): TrainableModel {
  const { graph, opsets } = source;
  const head = findHead(graph, options.logits);
  const nodes = requiredNodes(graph, [head.logits]);
  const inputNames = new Set(graph.inputs.map(({ name }) => name));
  const parameters = selectParameters(nodes, graph.initializers, inputNames, options);
  const trainable = new Set(parameters.filter((p) => p.trainable).map((p) => p.name));

  const unfolded: PlannedNode[] = nodes
    .filter((node) => !(node.opType === "Constant" && trainable.has(node.outputs[0]!)))
    .map((node) => {
      const opset = opsets.get(node.domain === "ai.onnx" ? "" : node.domain) ?? 1;
      return { node, opset, where: describeNode(node, opset), run: getOperator(node, opset) };
    });
  const plan = foldBatchNormalization(unfolded, head.logits);
  // Values are dropped after their last use only in eager mode, by tfjs's tidy; the map itself holds no memory of note.
  const constants = new Map<string, Value>();
  for (const [name, tensor] of graph.initializers)
    if (!trainable.has(name) && tensor.dtype !== "string") constants.set(name, hostFromOnnx(tensor));

  const first = graph.inputs.find(({ dims }) => dims !== undefined && dims.length > 0);
  const fixedBatch = typeof first?.dims?.[0] === "number" ? first.dims[0] : undefined;
  const used = new Set(nodes.flatMap((node) => node.inputs));
  const inputs = graph.inputs.filter(({ name }) => used.has(name));

  const forward: TrainableModel["forward"] = (weights, batch) => {
    const values = new Map<string, Value>(constants);
    for (const name of trainable) {
      const weight = weights[name];
      if (!weight) throw new Error(`apply() needs the weight "${name}"`);
      values.set(name, weight);
    }
    let count = 1;
    for (const { name } of inputs) {
      const tensor = batch[name];
      if (!tensor) throw badInput("INPUT_MISSING", `The model input "${name}" was not given.`);
      values.set(name, tensor);
      count = tensor.shape[0] ?? 1;
    }
    for (const planned of plan) {
      const seen = fixedBatch === 1 ? rebatchReshape(planned, values, count) : values;
      const outputs = runNode(planned, seen);
      planned.node.outputs.forEach((name, i) => {
        const value = outputs[i];
        if (name && value !== undefined) values.set(name, value);
      });
    }
    return toTensor(values.get(head.logits)!);
  };
  const apply: TrainableModel["apply"] = (weights, batch) => asClasses(forward(weights, batch), head.logits);
  return { source, parameters, inputs, fixedBatch, head, apply, forward };
}
