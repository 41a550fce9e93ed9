import type { TensorInfo } from "@tensorflow/tfjs-core";
import { sameDims } from "../dims.ts";
import type { EmittedAttribute, EmittedNode, GraphBuilder, Operand } from "./graph-builder.ts";

export const channelBlocks = (channels: number, block: number): number => Math.ceil(channels / block);

/**
 * Element-wise operators, whose results do not depend on the order of the elements. `true`: finite inputs
 * give finite outputs, so that the operator may also run on the channels that pad the last block.
 */
const ELEMENTWISE: Readonly<Record<string, boolean>> = {
  Abs: true,
  Add: true,
  And: true,
  Cast: true,
  Ceil: true,
  Clip: true,
  Cos: true,
  Div: false,
  Elu: true,
  Equal: true,
  Erf: true,
  Exp: false,
  Floor: true,
  Greater: true,
  GreaterOrEqual: true,
  HardSigmoid: true,
  IsInf: true,
  IsNaN: true,
  LeakyRelu: true,
  Less: true,
  LessOrEqual: true,
  Log: false,
  Max: true,
  Min: true,
  Mul: true,
  Neg: true,
  Not: true,
  Or: true,
  Pow: false,
  PRelu: true,
  Reciprocal: false,
  Relu: true,
  Round: true,
  Selu: true,
  Sigmoid: true,
  Sign: true,
  Sin: true,
  Softplus: true,
  Sqrt: false,
  Sub: true,
  Sum: true,
  Tanh: true,
  Where: true,
};

/** Whether every element of the result depends only on the operands' elements at its own index. */
export const isElementwise = ({ opType, domain }: EmittedNode): boolean =>
  domain === "" && opType in ELEMENTWISE;

interface Emission {
  /** An operator of ONNX itself. */
  readonly opType: string;
  readonly inputs: readonly Operand[];
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly attributes: Readonly<Record<string, EmittedAttribute>>;
}

/** Emits an operator on blocked tensors in the blocked layout; undefined if it needs them row-major. */
export function lowerBlocked(graph: GraphBuilder, emission: Emission): TensorInfo | undefined {
  const { opType, inputs } = emission;
  if (graph.block === 0) return undefined;
  if (!inputs.some((x) => typeof x !== "string" && x.shape.length === 4 && graph.isBlocked(x)))
    return undefined;
  if (opType in ELEMENTWISE) return elementwise(graph, emission);
  if (/^Reduce(Sum|Mean|Max|Min)$/.test(opType)) return reduction(graph, emission);
  if (opType === "Concat") return concatenation(graph, emission);
  return undefined;
}

function elementwise(
  graph: GraphBuilder,
  { opType, inputs, shape, dtype, attributes }: Emission,
): TensorInfo | undefined {
  const { block } = graph;
  if (shape.length !== 4) return undefined;
  const [n, c, h, w] = shape as [number, number, number, number];
  const blocks = channelBlocks(c, block);
  if (c % block !== 0 && !ELEMENTWISE[opType]) return undefined;
  const isFull = (x: TensorInfo) => sameDims(x.shape, shape);
  if (!inputs.some((x) => typeof x !== "string" && isFull(x) && graph.isBlocked(x))) return undefined;

  // Each operand is one number, a tensor of the result's shape, or one that broadcasts along whole axes.
  let broadcasts = false;
  const plans: { kind: "scalar" | "full" | "broadcast"; operand: Operand }[] = [];
  for (const operand of inputs) {
    const scalar = graph.scalarName(operand);
    if (scalar !== undefined) plans.push({ kind: "scalar", operand: scalar });
    else if (typeof operand === "string") return undefined;
    else if (isFull(operand)) {
      if (!graph.isBlocked(operand) && operand.dtype !== "float32") return undefined;
      plans.push({ kind: "full", operand });
    } else {
      const lifted = [...Array(Math.max(0, 4 - operand.shape.length)).fill(1), ...operand.shape];
      if (lifted.length !== 4 || operand.dtype !== "float32") return undefined;
      if (lifted[1] !== 1 && (lifted[2] !== 1 || lifted[3] !== 1)) return undefined;
      broadcasts = true;
      plans.push({ kind: "broadcast", operand });
    }
  }
  const rawShape = [n, blocks * block, h, w];
  if (!broadcasts) {
    const operands = plans.map(({ kind, operand }) =>
      kind === "full" ? graph.blocked(operand as TensorInfo) : operand,
    );
    return graph.fromBlocked(graph.emit(opType, operands, rawShape, dtype, attributes), shape);
  }
  const view = [n, blocks, h, w, block];
  const operands = plans.map(({ kind, operand }) => {
    if (kind === "scalar") return operand;
    const tensor = operand as TensorInfo;
    if (kind === "full")
      return graph.emit("Reshape", [graph.blocked(tensor), graph.ints(view)], view, tensor.dtype);
    const lifted = [...Array(4 - tensor.shape.length).fill(1), ...tensor.shape] as number[];
    if (lifted[1] === 1) {
      const spread = [...lifted, 1];
      return graph.emit("Reshape", [tensor, graph.ints(spread)], spread, tensor.dtype);
    }
    let channels = tensor;
    if (c % block !== 0) {
      const zeros = tensor.shape.map(() => 0);
      const axis = tensor.shape.length - 3;
      const pads = [...zeros, ...zeros.map((_, i) => (i === axis ? blocks * block - c : 0))];
      const grown = tensor.shape.map((d, i) => (i === axis ? blocks * block : d));
      channels = graph.emit("Pad", [tensor, graph.ints(pads)], grown, tensor.dtype);
    }
    const spread = [lifted[0]!, blocks, 1, 1, block];
    return graph.emit("Reshape", [channels, graph.ints(spread)], spread, tensor.dtype);
  });
  const y = graph.emit(opType, operands, view, dtype, attributes);
  return graph.fromBlocked(graph.emit("Reshape", [y, graph.ints(rawShape)], rawShape, dtype), shape);
}

/** A reduction over the pixels, over all axes but the channels, or over all axes; undefined for others. */
function reduction(
  graph: GraphBuilder,
  { opType, inputs: [x, axesName], shape, dtype, attributes }: Emission,
): TensorInfo | undefined {
  const tensor = x as TensorInfo;
  const axes = typeof axesName === "string" ? graph.intsOf(axesName) : undefined;
  if (!axes) return undefined;
  const { block } = graph;
  const [n, c, h, w] = tensor.shape as [number, number, number, number];
  const blocks = channelBlocks(c, block);
  const key = [...axes].sort((a, b) => a - b).join();
  if (key === "0,1,2,3" && c % block === 0)
    return graph.emit(opType, [graph.blocked(tensor), axesName!], shape, dtype, attributes);
  if (key !== "2,3" && key !== "0,2,3") return undefined;
  const over = (t: TensorInfo, axis: number, left: readonly number[]) =>
    graph.emit(opType, [t, graph.ints([axis])], left, dtype, { keepdims: { int: 0 } });
  const view = [n * blocks, h * w, block];
  const flat = graph.emit("Reshape", [graph.blocked(tensor), graph.ints(view)], view, dtype);
  let y = over(flat, 1, [n * blocks, block]);
  const rows = key === "2,3" ? n : 1;
  y = graph.emit("Reshape", [y, graph.ints([n, blocks * block])], [n, blocks * block], dtype);
  if (rows === 1 && n > 1) y = over(y, 0, [blocks * block]);
  const narrow = key === "2,3" ? [n, c] : [c];
  if (c % block !== 0) {
    const axis = narrow.length - 1;
    if (y.shape.length !== narrow.length)
      y = graph.emit("Reshape", [y, graph.ints([blocks * block])], [blocks * block], dtype);
    y = graph.emit("Slice", [y, graph.ints([0]), graph.ints([c]), graph.ints([axis])], narrow, dtype);
  }
  return graph.emit("Reshape", [y, graph.ints(shape)], shape, dtype);
}

/** A Concat along the channels, if every part fills whole blocks. */
function concatenation(
  graph: GraphBuilder,
  { inputs, shape, dtype, attributes }: Emission,
): TensorInfo | undefined {
  const axis = attributes["axis"] as { readonly int: number };
  const parts = inputs as readonly TensorInfo[];
  if (shape.length !== 4 || axis.int !== 1 || dtype !== "float32") return undefined;
  if (parts.some((part) => typeof part === "string" || part.shape[1]! % graph.block !== 0)) return undefined;
  const raw = parts.map((part) => graph.blocked(part));
  return graph.fromBlocked(graph.emit("Concat", raw, shape, dtype, attributes), shape);
}
