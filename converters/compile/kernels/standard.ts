import type { TensorInfo } from "@tensorflow/tfjs-core";
import { elementCount, positiveAxis, sameDims } from "../../dims.ts";
import { tf } from "../../tf.ts";
import {
  type EmittedAttribute,
  type GraphBuilder,
  type Lowering,
  type LoweringArguments,
  MICROSOFT,
  type Operand,
} from "../graph-builder.ts";

/** A splat as a scalar if the other operand has the result's shape, so that it need not be expanded. */
const broadcastOperand = (
  graph: GraphBuilder,
  tensor: TensorInfo,
  other: TensorInfo,
  outShape: readonly number[],
): Operand => (sameDims(other.shape, outShape) ? graph.scalarOf(tensor) : tensor);

export const cast = (graph: GraphBuilder, x: TensorInfo, dtype: string): TensorInfo => {
  if (x.dtype === dtype) return x;
  const splat = graph.splatValue(x);
  if (splat !== undefined) {
    const value = dtype === "bool" ? Number(splat !== 0) : dtype === "int32" ? Math.trunc(splat) : splat;
    return graph.splat(value, x.shape, dtype as "float32");
  }
  const to = dtype === "float32" ? 1 : dtype === "int32" ? 6 : dtype === "int64" ? 7 : 9;
  return graph.emit("Cast", [x], x.shape, dtype, { to: { int: to } });
};

/** The operand before it was broadcast, if that is known. */
const narrow = (graph: GraphBuilder, x: TensorInfo): TensorInfo => {
  const splat = graph.splatValue(x);
  return splat === undefined ? (graph.spreadOf(x) ?? x) : graph.splat(splat, [], x.dtype as "float32");
};

const binary = (
  opType: string,
  fold: (a: number, b: number) => number,
  neutral: { left?: number; right?: number } = {},
): Lowering => {
  const lower: Lowering = ({ inputs: [a, b], named, attrs, graph }) => {
    const shape = tf.broadcast_util.assertAndGetBroadcastShape(a!.shape, b!.shape);
    const [sa, sb] = [graph.splatValue(a!), graph.splatValue(b!)];
    if (sa !== undefined && sb !== undefined) {
      const value = a!.dtype === "float32" ? Math.fround(fold(sa, sb)) : Math.trunc(fold(sa, sb));
      return graph.splat(value, shape, a!.dtype as "float32");
    }
    if (sb !== undefined && sb === neutral.right && sameDims(a!.shape, shape)) return a!;
    if (sa !== undefined && sa === neutral.left && sameDims(b!.shape, shape)) return b!;
    // Gradients of sums are broadcast values: compute on the smaller operands, then broadcast the result.
    const inputs = [narrow(graph, a!), narrow(graph, b!)] as [TensorInfo, TensorInfo];
    const within = tf.broadcast_util.assertAndGetBroadcastShape(inputs[0].shape, inputs[1].shape);
    if (elementCount(within) < elementCount(shape))
      return graph.spread(lower({ inputs, named, attrs, graph }) as TensorInfo, shape);
    const [x, y] = sameDims(within, shape) ? inputs : [a!, b!];
    return graph.emit(
      opType,
      [broadcastOperand(graph, x, y, shape), broadcastOperand(graph, y, x, shape)],
      shape,
      a!.dtype,
    );
  };
  return lower;
};

const compare =
  (opType: string, negate = false): Lowering =>
  ({ inputs: [a, b], graph }) => {
    const shape = tf.broadcast_util.assertAndGetBroadcastShape(a!.shape, b!.shape);
    const y = graph.emit(
      opType,
      [broadcastOperand(graph, a!, b!, shape), broadcastOperand(graph, b!, a!, shape)],
      shape,
      "bool",
    );
    return negate ? graph.emit("Not", [y], shape, "bool") : y;
  };

const unary =
  (opType: string, fold?: (x: number) => number): Lowering =>
  ({ inputs: [x], graph }) => {
    const splat = graph.splatValue(x!);
    if (splat !== undefined && fold)
      return graph.splat(Math.fround(fold(splat)), x!.shape, x!.dtype as "float32");
    return graph.emit(opType, [x!], x!.shape, x!.dtype);
  };

const floatUnary =
  (opType: string): Lowering =>
  ({ inputs: [x], graph }) =>
    graph.emit(opType, [cast(graph, x!, "float32")], x!.shape, "float32");

const axesOf = (attrs: LoweringArguments["attrs"], x: TensorInfo): number[] =>
  tf.util.parseAxisParam((attrs["axis"] ?? attrs["reductionIndices"] ?? null) as number[], x.shape);

const reduce =
  (opType: string, splatFold?: (value: number, count: number) => number): Lowering =>
  ({ inputs: [input], attrs, graph }) => {
    const x = input!.dtype === "bool" ? cast(graph, input!, "int32") : input!;
    const axes = axesOf(attrs, x);
    const keep = Boolean(attrs["keepDims"]);
    const [reduced, removed] = tf.backend_util.computeOutAndReduceShapes(x.shape, axes);
    const shape = keep ? tf.backend_util.expandShapeToKeepDim(reduced, axes) : reduced;
    const splat = graph.splatValue(x);
    if (splat !== undefined && splatFold)
      return graph.splat(splatFold(splat, elementCount(removed)), shape, x.dtype as "float32");
    if (axes.length === 0) return x;
    if (elementCount(removed) === 1) return reshape(graph, x, shape);
    return graph.emit(opType, [x, graph.ints(axes)], shape, x.dtype, { keepdims: { int: keep ? 1 : 0 } });
  };

const booleanReduce =
  (opType: string): Lowering =>
  (args) => {
    const x = cast(args.graph, args.inputs[0]!, "int32");
    return cast(args.graph, reduce(opType)({ ...args, inputs: [x] }) as TensorInfo, "bool");
  };

/** Another shape of the same elements, by at most one Reshape; a splat stays a splat. */
export const reshape = (graph: GraphBuilder, x: TensorInfo, shape: readonly number[]): TensorInfo => {
  if (sameDims(x.shape, shape)) return x;
  const splat = graph.splatValue(x);
  if (splat !== undefined) return graph.splat(splat, shape, x.dtype as "float32");
  const producer = graph.producerOf(x);
  const source: Operand = producer?.opType === "Reshape" ? producer.inputs[0]! : x;
  // A dimension of 0 means 0 elements here; ONNX would otherwise copy the input's dimension.
  const attributes: Record<string, EmittedAttribute> = shape.includes(0) ? { allowzero: { int: 1 } } : {};
  return graph.emit("Reshape", [source, graph.ints(shape)], shape, x.dtype, attributes);
};

const transpose = (graph: GraphBuilder, x: TensorInfo, perm: readonly number[]): TensorInfo => {
  const shape = perm.map((p) => x.shape[p]!);
  const splat = graph.splatValue(x);
  if (splat !== undefined) return graph.splat(splat, shape, x.dtype as "float32");
  if (perm.every((p, i) => p === i)) return x;
  const producer = graph.producerOf(x);
  if (producer?.opType === "Transpose") {
    const inner = producer.attributes["perm"] as { readonly ints: readonly number[] };
    const combined = perm.map((p) => inner.ints[p]!);
    if (combined.every((p, i) => p === i)) return graph.reuse(producer.inputs[0]!, shape, x.dtype);
    return graph.emit("Transpose", [producer.inputs[0]!], shape, x.dtype, { perm: { ints: combined } });
  }
  return graph.emit("Transpose", [x], shape, x.dtype, { perm: { ints: [...perm] } });
};

const argReduce =
  (opType: string): Lowering =>
  ({ inputs: [x], attrs, graph }) => {
    const axis = tf.util.parseAxisParam(attrs["axis"] as number, x!.shape)[0]!;
    const shape = x!.shape.filter((_, i) => i !== axis);
    const y = graph.emit(opType, [x!], shape, "int64", { axis: { int: axis }, keepdims: { int: 0 } });
    return cast(graph, y, "int32");
  };

const matMul: Lowering = ({ named, attrs, graph }) => {
  const [a, b] = [named["a"]!, named["b"]!];
  const [ta, tb] = [Boolean(attrs["transposeA"]), Boolean(attrs["transposeB"])];
  const rank = a.shape.length;
  const batch = tf.broadcast_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const m = ta ? a.shape[rank - 1]! : a.shape[rank - 2]!;
  const n = tb ? b.shape[b.shape.length - 2]! : b.shape[b.shape.length - 1]!;
  const shape = [...batch, m, n];
  // tf.matMul makes matrices rank 3 by a batch of 1; rank 2 is what the passes recognise.
  if (rank === 3 && batch.length === 1 && batch[0] === 1) {
    const flat = matMul({
      inputs: [],
      named: { a: reshape(graph, a, a.shape.slice(1)), b: reshape(graph, b, b.shape.slice(1)) },
      attrs,
      graph,
    }) as TensorInfo;
    return reshape(graph, flat, shape);
  }
  // ONNX Runtime copies a transposed left factor. Over many rows it costs less to swap the factors, so that
  // the narrower matrix is on the right, and to transpose the small result.
  if (ta && !tb && rank === 2 && n >= 2 * m && a.shape[0]! >= 16 * m)
    return transpose(
      graph,
      matMul({ inputs: [], named: { a: b, b: a }, attrs, graph }) as TensorInfo,
      [1, 0],
    );
  if (!ta && !tb) return graph.emit("MatMul", [a, b], shape, "float32");
  return graph.emit([MICROSOFT, "FusedMatMul"], [a, b], shape, "float32", {
    transA: { int: ta ? 1 : 0 },
    transB: { int: tb ? 1 : 0 },
  });
};

const scalar = (graph: GraphBuilder, value: number, dtype: "float32" | "int32" = "float32") =>
  graph.constant([value], [], dtype);

/** Lowerings of tfjs's own kernels: those that operators, losses, optimisers and their gradients use. */
export const standardLowerings: Readonly<Record<string, Lowering>> = {
  Add: binary("Add", (a, b) => a + b, { left: 0, right: 0 }),
  Sub: binary("Sub", (a, b) => a - b, { right: 0 }),
  Multiply: binary("Mul", (a, b) => a * b, { left: 1, right: 1 }),
  RealDiv: (args) => {
    const inputs = args.inputs.map((x) => cast(args.graph, x, "float32"));
    return binary("Div", (a, b) => a / b, { right: 1 })({ ...args, inputs });
  },
  Maximum: binary("Max", Math.max),
  Minimum: binary("Min", Math.min),
  Pow: (args) => {
    const exponent = args.graph.splatValue(args.inputs[1]!);
    if (
      exponent === 1 &&
      sameDims(
        tf.broadcast_util.assertAndGetBroadcastShape(args.inputs[0]!.shape, args.inputs[1]!.shape),
        args.inputs[0]!.shape,
      )
    )
      return args.inputs[0]!;
    return binary("Pow", (a, b) => a ** b)(args);
  },
  FloorDiv: (args) => {
    const { graph } = args;
    const inputs = args.inputs.map((x) => cast(graph, x, "float32"));
    const quotient = binary("Div", (a, b) => a / b)({ ...args, inputs }) as TensorInfo;
    return cast(graph, graph.emit("Floor", [quotient], quotient.shape, "float32"), args.inputs[0]!.dtype);
  },
  Mod: (args) => {
    const { graph, inputs } = args;
    const [a, b] = inputs as [TensorInfo, TensorInfo];
    if (a.dtype !== "float32") return binary("Mod", (x, y) => ((x % y) + y) % y)(args);
    const quotient = binary("Div", (x, y) => x / y)(args) as TensorInfo;
    const floor = graph.emit("Floor", [quotient], quotient.shape, "float32");
    const product = graph.emit("Mul", [floor, b], quotient.shape, "float32");
    return graph.emit("Sub", [a, product], quotient.shape, "float32");
  },
  SquaredDifference: (args) => {
    const d = binary("Sub", (a, b) => a - b)(args) as TensorInfo;
    return args.graph.emit("Mul", [d, d], d.shape, d.dtype);
  },
  AddN: ({ inputs, graph }) =>
    inputs.length === 1 ? inputs[0]! : graph.emit("Sum", inputs, inputs[0]!.shape, inputs[0]!.dtype),

  Equal: compare("Equal"),
  NotEqual: compare("Equal", true),
  Greater: compare("Greater"),
  GreaterEqual: compare("GreaterOrEqual"),
  Less: compare("Less"),
  LessEqual: compare("LessOrEqual"),
  LogicalAnd: compare("And"),
  LogicalOr: compare("Or"),
  LogicalNot: ({ inputs: [x], graph }) => graph.emit("Not", [x!], x!.shape, "bool"),
  IsNan: ({ inputs: [x], graph }) => graph.emit("IsNaN", [x!], x!.shape, "bool"),
  IsInf: ({ inputs: [x], graph }) => graph.emit("IsInf", [x!], x!.shape, "bool"),
  IsFinite: ({ inputs: [x], graph }) => {
    const inf = graph.emit("IsInf", [x!], x!.shape, "bool");
    const nan = graph.emit("IsNaN", [x!], x!.shape, "bool");
    return graph.emit("Not", [graph.emit("Or", [inf, nan], x!.shape, "bool")], x!.shape, "bool");
  },

  Abs: unary("Abs", Math.abs),
  Neg: unary("Neg", (x) => -x),
  Exp: floatUnary("Exp"),
  Log: floatUnary("Log"),
  Sqrt: floatUnary("Sqrt"),
  Rsqrt: ({ inputs: [x], graph }) =>
    graph.emit("Reciprocal", [graph.emit("Sqrt", [x!], x!.shape, "float32")], x!.shape, "float32"),
  Reciprocal: unary("Reciprocal", (x) => 1 / x),
  Square: ({ inputs: [x], graph }) => {
    const splat = graph.splatValue(x!);
    if (splat !== undefined) return graph.splat(splat * splat, x!.shape, x!.dtype as "float32");
    return graph.emit("Mul", [x!, x!], x!.shape, x!.dtype);
  },
  Floor: unary("Floor"),
  Ceil: unary("Ceil"),
  Round: unary("Round"),
  Sign: unary("Sign"),
  Sin: floatUnary("Sin"),
  Cos: floatUnary("Cos"),
  Tan: floatUnary("Tan"),
  Asin: floatUnary("Asin"),
  Acos: floatUnary("Acos"),
  Atan: floatUnary("Atan"),
  Sinh: floatUnary("Sinh"),
  Cosh: floatUnary("Cosh"),
  Asinh: floatUnary("Asinh"),
  Acosh: floatUnary("Acosh"),
  Atanh: floatUnary("Atanh"),
  Tanh: floatUnary("Tanh"),
  Erf: floatUnary("Erf"),
  Sigmoid: floatUnary("Sigmoid"),
  Softplus: floatUnary("Softplus"),
  Relu: unary("Relu"),
  Relu6: ({ inputs: [x], graph }) =>
    graph.emit("Clip", [x!, scalar(graph, 0), scalar(graph, 6)], x!.shape, x!.dtype),
  Elu: unary("Elu"),
  Selu: unary("Selu"),
  EluGrad: ({ named, graph }) => {
    const [dy, y] = [named["dy"]!, named["y"]!];
    const positive = graph.emit("GreaterOrEqual", [y, scalar(graph, 0)], y.shape, "bool");
    const shifted = graph.emit("Add", [y, scalar(graph, 1)], y.shape, "float32");
    const slope = graph.emit("Where", [positive, scalar(graph, 1), shifted], y.shape, "float32");
    return graph.emit("Mul", [dy, slope], y.shape, "float32");
  },
  LeakyRelu: ({ inputs: [x], attrs, graph }) =>
    graph.emit("LeakyRelu", [x!], x!.shape, x!.dtype, { alpha: { float: attrs["alpha"] as number } }),
  Prelu: ({ named, graph }) =>
    graph.emit("PRelu", [named["x"]!, named["alpha"]!], named["x"]!.shape, "float32"),
  Expm1: ({ inputs: [x], graph }) => {
    const e = graph.emit("Exp", [x!], x!.shape, "float32");
    return graph.emit("Sub", [e, scalar(graph, 1)], x!.shape, "float32");
  },
  Log1p: ({ inputs: [x], graph }) => {
    const s = graph.emit("Add", [x!, scalar(graph, 1)], x!.shape, "float32");
    return graph.emit("Log", [s], x!.shape, "float32");
  },
  Step: ({ inputs: [x], attrs, graph }) => {
    const alpha = (attrs["alpha"] as number | undefined) ?? 0;
    // The gradient of a ReLU. It reads the ReLU's output, which already exists, so that the input can be
    // freed. A steep HardSigmoid, clip(3e38·y, 0, 1), makes the mask as floats in one pass; a comparison and
    // a cast would take two.
    if (alpha === 0 && x!.dtype === "float32") {
      const y = graph.emit("Relu", [x!], x!.shape, "float32");
      return graph.emit("HardSigmoid", [y], x!.shape, "float32", {
        alpha: { float: 3e38 },
        beta: { float: 0 },
      });
    }
    const positive = graph.emit("Greater", [x!, scalar(graph, 0, x!.dtype as "float32")], x!.shape, "bool");
    if (alpha === 0) return cast(graph, positive, "float32");
    return graph.emit("Where", [positive, scalar(graph, 1), scalar(graph, alpha)], x!.shape, "float32");
  },
  ClipByValue: ({ inputs: [x], attrs, graph }) =>
    graph.emit(
      "Clip",
      [x!, scalar(graph, attrs["clipValueMin"] as number), scalar(graph, attrs["clipValueMax"] as number)],
      x!.shape,
      x!.dtype,
    ),
  Cast: ({ inputs: [x], attrs, graph }) => {
    const to = attrs["dtype"] as string;
    // tfjs truncates toward zero, as ONNX does.
    return cast(graph, x!, to);
  },
  Identity: ({ inputs: [x] }) => ({ ...x! }),
  Softmax: ({ inputs: [x], attrs, graph }) => {
    const axis = attrs["dim"] as number;
    return graph.emit("Softmax", [x!], x!.shape, "float32", {
      axis: { int: positiveAxis(axis, x!.shape.length) },
    });
  },
  LogSoftmax: ({ inputs: [x], attrs, graph }) => {
    const axis = attrs["axis"] as number;
    return graph.emit("LogSoftmax", [x!], x!.shape, "float32", { axis: { int: axis } });
  },

  Sum: reduce("ReduceSum", (v, n) => v * n),
  Mean: (args) =>
    reduce("ReduceMean", (v) => v)({ ...args, inputs: [cast(args.graph, args.inputs[0]!, "float32")] }),
  Max: reduce("ReduceMax", (v) => v),
  Min: reduce("ReduceMin", (v) => v),
  Prod: reduce("ReduceProd", (v, n) => v ** n),
  Any: booleanReduce("ReduceMax"),
  All: booleanReduce("ReduceMin"),
  ArgMax: argReduce("ArgMax"),
  ArgMin: argReduce("ArgMin"),
  Cumsum: ({ inputs: [x], attrs, graph }) => {
    const axis = attrs["axis"] as number;
    return graph.emit(
      "CumSum",
      [x!, graph.constant([positiveAxis(axis, x!.shape.length)], [], "int32")],
      x!.shape,
      x!.dtype,
      {
        exclusive: { int: attrs["exclusive"] ? 1 : 0 },
        reverse: { int: attrs["reverse"] ? 1 : 0 },
      },
    );
  },

  BatchMatMul: matMul,
  Reshape: ({ inputs: [x], attrs, graph }) =>
    reshape(graph, x!, tf.util.inferFromImplicitShape(attrs["shape"] as number[], elementCount(x!.shape))),
  ExpandDims: ({ inputs: [x], attrs, graph }) => {
    const dim = attrs["dim"] as number;
    const shape = [...x!.shape];
    shape.splice(positiveAxis(dim, x!.shape.length + 1), 0, 1);
    return reshape(graph, x!, shape);
  },
  Transpose: ({ inputs: [x], attrs, graph }) => transpose(graph, x!, attrs["perm"] as number[]),
  Tile: ({ inputs: [x], attrs, graph }) => {
    const reps = attrs["reps"] as number[];
    const shape = x!.shape.map((d, i) => d * reps[i]!);
    const splat = graph.splatValue(x!);
    if (splat !== undefined) return graph.splat(splat, shape, x!.dtype as "float32");
    return sameDims(shape, x!.shape) ? x! : graph.emit("Tile", [x!, graph.ints(reps)], shape, x!.dtype);
  },
  Concat: ({ inputs, attrs, graph }) => {
    const axis = tf.util.parseAxisParam(attrs["axis"] as number, inputs[0]!.shape)[0]!;
    const shape = tf.backend_util.computeOutShape(
      inputs.map((t) => t.shape),
      axis,
    );
    const parts = inputs.filter((t) => elementCount(t.shape) > 0);
    if (parts.length === 1) return parts[0]!;
    return graph.emit("Concat", parts, shape, inputs[0]!.dtype, { axis: { int: axis } });
  },
  Pack: ({ inputs, attrs, graph }) => {
    const axis = attrs["axis"] as number;
    const shape = [...inputs[0]!.shape];
    shape.splice(axis, 0, 1);
    const parts = inputs.map((t) => reshape(graph, t, shape));
    const outShape = shape.map((d, i) => (i === axis ? inputs.length : d));
    return graph.emit("Concat", parts, outShape, inputs[0]!.dtype, { axis: { int: axis } });
  },
  Unpack: ({ inputs: [x], attrs, graph }) => {
    const axis = tf.util.parseAxisParam(attrs["axis"] as number, x!.shape)[0]!;
    const shape = x!.shape.filter((_, i) => i !== axis);
    return Array.from({ length: x!.shape[axis]! }, (_, i) =>
      graph.emit("Gather", [x!, graph.constant([i], [], "int32")], shape, x!.dtype, {
        axis: { int: axis },
      }),
    );
  },
  SplitV: ({ inputs: [x], attrs, graph }) => {
    const axis = tf.util.parseAxisParam(attrs["axis"] as number, x!.shape)[0]!;
    const sizes = tf.backend_util.prepareSplitSize(x! as never, attrs["numOrSizeSplits"] as number[], axis);
    if (sizes.length === 1) return [x!];
    const outputs = sizes.map((length) => ({
      shape: x!.shape.map((d, i) => (i === axis ? length : d)),
      dtype: x!.dtype,
    }));
    const splat = graph.splatValue(x!);
    if (splat !== undefined)
      return outputs.map(({ shape }) => graph.splat(splat, shape, x!.dtype as "float32"));
    return graph.emitMany("Split", [x!, graph.ints(sizes)], outputs, { axis: { int: axis } });
  },
  Slice: ({ inputs: [x], attrs, graph }) => {
    const { begin, size } = attrs as { begin: number | number[]; size: number | number[] };
    const [starts, shape] = tf.slice_util.parseSliceParams(x! as never, begin, size) as [number[], number[]];
    const splat = graph.splatValue(x!);
    if (splat !== undefined) return graph.splat(splat, shape, x!.dtype as "float32");
    const axes = x!.shape.map((_, i) => i).filter((i) => shape[i] !== x!.shape[i]);
    if (axes.length === 0) return x!;
    return graph.emit(
      "Slice",
      [
        x!,
        graph.ints(axes.map((i) => starts[i]!)),
        graph.ints(axes.map((i) => starts[i]! + shape[i]!)),
        graph.ints(axes),
      ],
      shape,
      x!.dtype,
    );
  },
  PadV2: ({ inputs: [x], attrs, graph }) => {
    const paddings = attrs["paddings"] as [number, number][];
    const shape = x!.shape.map((d, i) => d + paddings[i]![0] + paddings[i]![1]);
    if (sameDims(shape, x!.shape)) return x!;
    const pads = [...paddings.map((p) => p[0]), ...paddings.map((p) => p[1])];
    const value = graph.constant([attrs["constantValue"] as number], [], x!.dtype as "float32");
    return graph.emit("Pad", [x!, graph.ints(pads), value], shape, x!.dtype, {
      mode: { string: "constant" },
    });
  },
  Reverse: ({ inputs: [x], attrs, graph }) => {
    const axes = tf.util.parseAxisParam(attrs["dims"] as number[], x!.shape);
    if (axes.length === 0) return x!;
    const end = axes.map((i) => -x!.shape[i]! - 1);
    return graph.emit(
      "Slice",
      [x!, graph.ints(axes.map(() => -1)), graph.ints(end), graph.ints(axes), graph.ints(axes.map(() => -1))],
      x!.shape,
      x!.dtype,
    );
  },
  GatherV2: ({ named, attrs, graph }) => {
    const [x, indices] = [named["x"]!, named["indices"]!];
    if ((attrs["batchDims"] as number | undefined) ?? 0)
      throw new Error("GatherV2: batchDims is not lowered");
    const axis = tf.util.parseAxisParam(attrs["axis"] as number, x.shape)[0]!;
    const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
    return graph.emit("Gather", [x, indices], shape, x.dtype, { axis: { int: axis } });
  },
  Select: ({ named, graph }) => {
    const [condition, t, e] = [named["condition"]!, named["t"]!, named["e"]!];
    return graph.emit("Where", [condition, graph.scalarOf(t), graph.scalarOf(e)], t.shape, t.dtype);
  },
  OneHot: ({ named, attrs, graph }) => {
    const indices = named["indices"]!;
    const depth = attrs["depth"] as number;
    const dtype = ((attrs["dtype"] as string | undefined) ?? "int32") as "float32" | "int32";
    const shape = [...indices.shape, depth];
    const column = reshape(graph, indices, [...indices.shape, 1]);
    const range = graph.constant(
      Array.from({ length: depth }, (_, i) => i),
      [depth],
      "int32",
    );
    const hit = graph.emit("Equal", [column, range], shape, "bool");
    const [on, off] = [(attrs["onValue"] as number) ?? 1, (attrs["offValue"] as number) ?? 0];
    if (on === 1 && off === 0) return cast(graph, hit, dtype);
    return graph.emit("Where", [hit, scalar(graph, on, dtype), scalar(graph, off, dtype)], shape, dtype);
  },
  Fill: ({ attrs, graph }) => {
    const dtype = (attrs["dtype"] as string | undefined) ?? "float32";
    return graph.splat(Number(attrs["value"]), attrs["shape"] as number[], dtype as "float32");
  },
  ZerosLike: ({ inputs: [x], graph }) => graph.splat(0, x!.shape, x!.dtype as "float32"),
  OnesLike: ({ inputs: [x], graph }) => graph.splat(1, x!.shape, x!.dtype as "float32"),
  Range: ({ attrs, graph }) => {
    const [start, stop, step] = [
      attrs["start"] as number,
      attrs["stop"] as number,
      (attrs["step"] as number) ?? 1,
    ];
    const count = Math.max(0, Math.ceil((stop - start) / step));
    const dtype = ((attrs["dtype"] as string | undefined) ?? "float32") as "float32";
    return graph.constant(
      Array.from({ length: count }, (_, i) => start + i * step),
      [count],
      dtype,
    );
  },
};
