import type { TensorInfo } from "@tensorflow/tfjs-core";
import { elementCount } from "../../dims.ts";
import { tf } from "../../tf.ts";
import type { EmittedAttribute, Lowering, LoweringArguments, Operand, Trace } from "../trace.ts";

const sameShape = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((d, i) => d === b[i]);

/** ONNX scalar operand instead of an expanded splat, where the other operand already has the result's shape. */
const broadcastOperand = (
  trace: Trace,
  tensor: TensorInfo,
  other: TensorInfo,
  outShape: readonly number[],
): Operand => (sameShape(other.shape, outShape) ? trace.scalarOf(tensor) : tensor);

export const cast = (trace: Trace, x: TensorInfo, dtype: string): TensorInfo => {
  if (x.dtype === dtype) return x;
  const splat = trace.splatValue(x);
  if (splat !== undefined) {
    const value = dtype === "bool" ? Number(splat !== 0) : dtype === "int32" ? Math.trunc(splat) : splat;
    return trace.splat(value, x.shape, dtype as "float32");
  }
  const to = dtype === "float32" ? 1 : dtype === "int32" ? 6 : dtype === "int64" ? 7 : 9;
  return trace.emit("Cast", [x], x.shape, dtype, { to: { int: to } });
};

/** The operand without the axes along which it merely repeats itself, where that is known. */
const narrow = (trace: Trace, x: TensorInfo): TensorInfo => {
  const splat = trace.splatValue(x);
  return splat === undefined ? (trace.spreadOf(x) ?? x) : trace.splat(splat, [], x.dtype as "float32");
};

const binary = (
  opType: string,
  fold: (a: number, b: number) => number,
  neutral: { left?: number; right?: number } = {},
): Lowering => {
  const lower: Lowering = ({ inputs: [a, b], named, attrs, trace }) => {
    const shape = tf.broadcast_util.assertAndGetBroadcastShape(a!.shape, b!.shape);
    const [sa, sb] = [trace.splatValue(a!), trace.splatValue(b!)];
    if (sa !== undefined && sb !== undefined) {
      const value = a!.dtype === "float32" ? Math.fround(fold(sa, sb)) : Math.trunc(fold(sa, sb));
      return trace.splat(value, shape, a!.dtype as "float32");
    }
    if (sb !== undefined && sb === neutral.right && sameShape(a!.shape, shape)) return a!;
    if (sa !== undefined && sa === neutral.left && sameShape(b!.shape, shape)) return b!;
    // Gradients of sums are full of such: what repeats itself is computed once, and then broadcast.
    const inputs = [narrow(trace, a!), narrow(trace, b!)] as [TensorInfo, TensorInfo];
    const within = tf.broadcast_util.assertAndGetBroadcastShape(inputs[0].shape, inputs[1].shape);
    if (elementCount(within) < elementCount(shape))
      return trace.spread(lower({ inputs, named, attrs, trace }) as TensorInfo, shape);
    const [x, y] = sameShape(within, shape) ? inputs : [a!, b!];
    return trace.emit(
      opType,
      [broadcastOperand(trace, x, y, shape), broadcastOperand(trace, y, x, shape)],
      shape,
      a!.dtype,
    );
  };
  return lower;
};

const compare =
  (opType: string, negate = false): Lowering =>
  ({ inputs: [a, b], trace }) => {
    const shape = tf.broadcast_util.assertAndGetBroadcastShape(a!.shape, b!.shape);
    const y = trace.emit(
      opType,
      [broadcastOperand(trace, a!, b!, shape), broadcastOperand(trace, b!, a!, shape)],
      shape,
      "bool",
    );
    return negate ? trace.emit("Not", [y], shape, "bool") : y;
  };

const unary =
  (opType: string, fold?: (x: number) => number): Lowering =>
  ({ inputs: [x], trace }) => {
    const splat = trace.splatValue(x!);
    if (splat !== undefined && fold)
      return trace.splat(Math.fround(fold(splat)), x!.shape, x!.dtype as "float32");
    return trace.emit(opType, [x!], x!.shape, x!.dtype);
  };

const floatUnary =
  (opType: string): Lowering =>
  ({ inputs: [x], trace }) =>
    trace.emit(opType, [cast(trace, x!, "float32")], x!.shape, "float32");

const axesOf = (attrs: LoweringArguments["attrs"], x: TensorInfo): number[] =>
  tf.util.parseAxisParam((attrs["axis"] ?? attrs["reductionIndices"] ?? null) as number[], x.shape);

const reduce =
  (opType: string, splatFold?: (value: number, count: number) => number): Lowering =>
  ({ inputs: [input], attrs, trace }) => {
    const x = input!.dtype === "bool" ? cast(trace, input!, "int32") : input!;
    const axes = axesOf(attrs, x);
    const keep = Boolean(attrs["keepDims"]);
    const [reduced, removed] = tf.backend_util.computeOutAndReduceShapes(x.shape, axes);
    const shape = keep ? tf.backend_util.expandShapeToKeepDim(reduced, axes) : reduced;
    const splat = trace.splatValue(x);
    if (splat !== undefined && splatFold)
      return trace.splat(splatFold(splat, elementCount(removed)), shape, x.dtype as "float32");
    if (axes.length === 0) return x;
    if (elementCount(removed) === 1) return reshape(trace, x, shape);
    return trace.emit(opType, [x, trace.ints(axes)], shape, x.dtype, { keepdims: { int: keep ? 1 : 0 } });
  };

const booleanReduce =
  (opType: string): Lowering =>
  (args) => {
    const x = cast(args.trace, args.inputs[0]!, "int32");
    return cast(args.trace, reduce(opType)({ ...args, inputs: [x] }) as TensorInfo, "bool");
  };

export const reshape = (trace: Trace, x: TensorInfo, shape: readonly number[]): TensorInfo => {
  if (sameShape(x.shape, shape)) return x;
  const splat = trace.splatValue(x);
  if (splat !== undefined) return trace.splat(splat, shape, x.dtype as "float32");
  const producer = trace.producerOf(x);
  const source: Operand = producer?.opType === "Reshape" ? producer.inputs[0]! : x;
  // A 0 among the dimensions means 0 here, not "as the input".
  const attributes: Record<string, EmittedAttribute> = shape.includes(0) ? { allowzero: { int: 1 } } : {};
  return trace.emit("Reshape", [source, trace.ints(shape)], shape, x.dtype, attributes);
};

const transpose = (trace: Trace, x: TensorInfo, perm: readonly number[]): TensorInfo => {
  const shape = perm.map((p) => x.shape[p]!);
  const splat = trace.splatValue(x);
  if (splat !== undefined) return trace.splat(splat, shape, x.dtype as "float32");
  if (perm.every((p, i) => p === i)) return x;
  const producer = trace.producerOf(x);
  if (producer?.opType === "Transpose") {
    const inner = producer.attributes["perm"] as { readonly ints: readonly number[] };
    const combined = perm.map((p) => inner.ints[p]!);
    if (combined.every((p, i) => p === i)) return trace.reuse(producer.inputs[0]!, shape, x.dtype);
    return trace.emit("Transpose", [producer.inputs[0]!], shape, x.dtype, { perm: { ints: combined } });
  }
  return trace.emit("Transpose", [x], shape, x.dtype, { perm: { ints: [...perm] } });
};

const argReduce =
  (opType: string): Lowering =>
  ({ inputs: [x], attrs, trace }) => {
    const axis = tf.util.parseAxisParam(attrs["axis"] as number, x!.shape)[0]!;
    const shape = x!.shape.filter((_, i) => i !== axis);
    const y = trace.emit(opType, [x!], shape, "int64", { axis: { int: axis }, keepdims: { int: 0 } });
    return cast(trace, y, "int32");
  };

const matMul: Lowering = ({ named, attrs, trace }) => {
  const [a, b] = [named["a"]!, named["b"]!];
  const [ta, tb] = [Boolean(attrs["transposeA"]), Boolean(attrs["transposeB"])];
  const rank = a.shape.length;
  const batch = tf.broadcast_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const m = ta ? a.shape[rank - 1]! : a.shape[rank - 2]!;
  const n = tb ? b.shape[b.shape.length - 2]! : b.shape[b.shape.length - 1]!;
  const shape = [...batch, m, n];
  // Products of rank 3 that are really of rank 2 (tf.matMul adds a batch of 1) run as one Gemm-shaped product.
  if (rank === 3 && batch.length === 1 && batch[0] === 1) {
    const flat = matMul({
      inputs: [],
      named: { a: reshape(trace, a, a.shape.slice(1)), b: reshape(trace, b, b.shape.slice(1)) },
      attrs,
      trace,
    }) as TensorInfo;
    return reshape(trace, flat, shape);
  }
  // ONNX Runtime copies a transposed first operand strip by strip: over many rows it costs less to let the narrower matrix be
  // the second one and to transpose the small result (128 × 512 over 4096 rows: 7.8 ms instead of 9.4).
  if (ta && !tb && rank === 2 && n >= 2 * m && a.shape[0]! >= 16 * m)
    return transpose(
      trace,
      matMul({ inputs: [], named: { a: b, b: a }, attrs, trace }) as TensorInfo,
      [1, 0],
    );
  if (!ta && !tb) return trace.emit("MatMul", [a, b], shape, "float32");
  return trace.emit(
    "FusedMatMul",
    [a, b],
    shape,
    "float32",
    { transA: { int: ta ? 1 : 0 }, transB: { int: tb ? 1 : 0 } },
    "com.microsoft",
  );
};

const scalar = (trace: Trace, value: number, dtype: "float32" | "int32" = "float32") =>
  trace.constant([value], [], dtype);

/** Lowerings of the kernels that come with tfjs, as far as operators, losses, optimisers and their gradients use them. */
export const standardLowerings: Readonly<Record<string, Lowering>> = {
  Add: binary("Add", (a, b) => a + b, { left: 0, right: 0 }),
  Sub: binary("Sub", (a, b) => a - b, { right: 0 }),
  Multiply: binary("Mul", (a, b) => a * b, { left: 1, right: 1 }),
  RealDiv: (args) => {
    const inputs = args.inputs.map((x) => cast(args.trace, x, "float32"));
    return binary("Div", (a, b) => a / b, { right: 1 })({ ...args, inputs });
  },
  Maximum: binary("Max", Math.max),
  Minimum: binary("Min", Math.min),
  Pow: (args) => {
    const exponent = args.trace.splatValue(args.inputs[1]!);
    if (
      exponent === 1 &&
      sameShape(
        tf.broadcast_util.assertAndGetBroadcastShape(args.inputs[0]!.shape, args.inputs[1]!.shape),
        args.inputs[0]!.shape,
      )
    )
      return args.inputs[0]!;
    return binary("Pow", (a, b) => a ** b)(args);
  },
  FloorDiv: (args) => {
    const { trace } = args;
    const inputs = args.inputs.map((x) => cast(trace, x, "float32"));
    const quotient = binary("Div", (a, b) => a / b)({ ...args, inputs }) as TensorInfo;
    return cast(trace, trace.emit("Floor", [quotient], quotient.shape, "float32"), args.inputs[0]!.dtype);
  },
  Mod: (args) => {
    const { trace, inputs } = args;
    const [a, b] = inputs as [TensorInfo, TensorInfo];
    if (a.dtype !== "float32") return binary("Mod", (x, y) => ((x % y) + y) % y)(args);
    const quotient = binary("Div", (x, y) => x / y)(args) as TensorInfo;
    const floor = trace.emit("Floor", [quotient], quotient.shape, "float32");
    const product = trace.emit("Mul", [floor, b], quotient.shape, "float32");
    return trace.emit("Sub", [a, product], quotient.shape, "float32");
  },
  SquaredDifference: (args) => {
    const d = binary("Sub", (a, b) => a - b)(args) as TensorInfo;
    return args.trace.emit("Mul", [d, d], d.shape, d.dtype);
  },
  AddN: ({ inputs, trace }) =>
    inputs.length === 1 ? inputs[0]! : trace.emit("Sum", inputs, inputs[0]!.shape, inputs[0]!.dtype),

  Equal: compare("Equal"),
  NotEqual: compare("Equal", true),
  Greater: compare("Greater"),
  GreaterEqual: compare("GreaterOrEqual"),
  Less: compare("Less"),
  LessEqual: compare("LessOrEqual"),
  LogicalAnd: compare("And"),
  LogicalOr: compare("Or"),
  LogicalNot: ({ inputs: [x], trace }) => trace.emit("Not", [x!], x!.shape, "bool"),
  IsNan: ({ inputs: [x], trace }) => trace.emit("IsNaN", [x!], x!.shape, "bool"),
  IsInf: ({ inputs: [x], trace }) => trace.emit("IsInf", [x!], x!.shape, "bool"),
  IsFinite: ({ inputs: [x], trace }) => {
    const inf = trace.emit("IsInf", [x!], x!.shape, "bool");
    const nan = trace.emit("IsNaN", [x!], x!.shape, "bool");
    return trace.emit("Not", [trace.emit("Or", [inf, nan], x!.shape, "bool")], x!.shape, "bool");
  },

  Abs: unary("Abs", Math.abs),
  Neg: unary("Neg", (x) => -x),
  Exp: floatUnary("Exp"),
  Log: floatUnary("Log"),
  Sqrt: floatUnary("Sqrt"),
  Rsqrt: ({ inputs: [x], trace }) =>
    trace.emit("Reciprocal", [trace.emit("Sqrt", [x!], x!.shape, "float32")], x!.shape, "float32"),
  Reciprocal: unary("Reciprocal", (x) => 1 / x),
  Square: ({ inputs: [x], trace }) => {
    const splat = trace.splatValue(x!);
    if (splat !== undefined) return trace.splat(splat * splat, x!.shape, x!.dtype as "float32");
    return trace.emit("Mul", [x!, x!], x!.shape, x!.dtype);
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
  Relu6: ({ inputs: [x], trace }) =>
    trace.emit("Clip", [x!, scalar(trace, 0), scalar(trace, 6)], x!.shape, x!.dtype),
  Elu: unary("Elu"),
  Selu: unary("Selu"),
  EluGrad: ({ named, trace }) => {
    const [dy, y] = [named["dy"]!, named["y"]!];
    const positive = trace.emit("GreaterOrEqual", [y, scalar(trace, 0)], y.shape, "bool");
    const shifted = trace.emit("Add", [y, scalar(trace, 1)], y.shape, "float32");
    const slope = trace.emit("Where", [positive, scalar(trace, 1), shifted], y.shape, "float32");
    return trace.emit("Mul", [dy, slope], y.shape, "float32");
  },
  LeakyRelu: ({ inputs: [x], attrs, trace }) =>
    trace.emit("LeakyRelu", [x!], x!.shape, x!.dtype, { alpha: { float: attrs["alpha"] as number } }),
  Prelu: ({ named, trace }) =>
    trace.emit("PRelu", [named["x"]!, named["alpha"]!], named["x"]!.shape, "float32"),
  Expm1: ({ inputs: [x], trace }) => {
    const e = trace.emit("Exp", [x!], x!.shape, "float32");
    return trace.emit("Sub", [e, scalar(trace, 1)], x!.shape, "float32");
  },
  Log1p: ({ inputs: [x], trace }) => {
    const s = trace.emit("Add", [x!, scalar(trace, 1)], x!.shape, "float32");
    return trace.emit("Log", [s], x!.shape, "float32");
  },
  Step: ({ inputs: [x], attrs, trace }) => {
    const alpha = (attrs["alpha"] as number | undefined) ?? 0;
    // As a ReLU's gradient it reads the ReLU's output, which is there already: what went in need not be kept. A steep
    // HardSigmoid clip(3e38·y, 0, 1) makes the float mask in one pass on all threads; a comparison and a cast take two.
    if (alpha === 0 && x!.dtype === "float32") {
      const y = trace.emit("Relu", [x!], x!.shape, "float32");
      return trace.emit("HardSigmoid", [y], x!.shape, "float32", {
        alpha: { float: 3e38 },
        beta: { float: 0 },
      });
    }
    const positive = trace.emit("Greater", [x!, scalar(trace, 0, x!.dtype as "float32")], x!.shape, "bool");
    if (alpha === 0) return cast(trace, positive, "float32");
    return trace.emit("Where", [positive, scalar(trace, 1), scalar(trace, alpha)], x!.shape, "float32");
  },
  ClipByValue: ({ inputs: [x], attrs, trace }) =>
    trace.emit(
      "Clip",
      [x!, scalar(trace, attrs["clipValueMin"] as number), scalar(trace, attrs["clipValueMax"] as number)],
      x!.shape,
      x!.dtype,
    ),
  Cast: ({ inputs: [x], attrs, trace }) => {
    const to = attrs["dtype"] as string;
    // tfjs truncates toward zero, as ONNX does.
    return cast(trace, x!, to);
  },
  Identity: ({ inputs: [x] }) => ({ ...x! }),
  Softmax: ({ inputs: [x], attrs, trace }) => {
    const axis = attrs["dim"] as number;
    return trace.emit("Softmax", [x!], x!.shape, "float32", {
      axis: { int: axis < 0 ? axis + x!.shape.length : axis },
    });
  },
  LogSoftmax: ({ inputs: [x], attrs, trace }) => {
    const axis = attrs["axis"] as number;
    return trace.emit("LogSoftmax", [x!], x!.shape, "float32", { axis: { int: axis } });
  },

  Sum: reduce("ReduceSum", (v, n) => v * n),
  Mean: (args) =>
    reduce("ReduceMean", (v) => v)({ ...args, inputs: [cast(args.trace, args.inputs[0]!, "float32")] }),
  Max: reduce("ReduceMax", (v) => v),
  Min: reduce("ReduceMin", (v) => v),
  Prod: reduce("ReduceProd", (v, n) => v ** n),
  Any: booleanReduce("ReduceMax"),
  All: booleanReduce("ReduceMin"),
  ArgMax: argReduce("ArgMax"),
  ArgMin: argReduce("ArgMin"),
  Cumsum: ({ inputs: [x], attrs, trace }) => {
    const axis = attrs["axis"] as number;
    return trace.emit(
      "CumSum",
      [x!, trace.constant([axis < 0 ? axis + x!.shape.length : axis], [], "int32")],
      x!.shape,
      x!.dtype,
      {
        exclusive: { int: attrs["exclusive"] ? 1 : 0 },
        reverse: { int: attrs["reverse"] ? 1 : 0 },
      },
    );
  },

  BatchMatMul: matMul,
  Reshape: ({ inputs: [x], attrs, trace }) =>
    reshape(trace, x!, tf.util.inferFromImplicitShape(attrs["shape"] as number[], elementCount(x!.shape))),
  ExpandDims: ({ inputs: [x], attrs, trace }) => {
    const dim = attrs["dim"] as number;
    const shape = [...x!.shape];
    shape.splice(dim < 0 ? dim + x!.shape.length + 1 : dim, 0, 1);
    return reshape(trace, x!, shape);
  },
  Transpose: ({ inputs: [x], attrs, trace }) => transpose(trace, x!, attrs["perm"] as number[]),
  Tile: ({ inputs: [x], attrs, trace }) => {
    const reps = attrs["reps"] as number[];
    const shape = x!.shape.map((d, i) => d * reps[i]!);
    const splat = trace.splatValue(x!);
    if (splat !== undefined) return trace.splat(splat, shape, x!.dtype as "float32");
    return sameShape(shape, x!.shape) ? x! : trace.emit("Tile", [x!, trace.ints(reps)], shape, x!.dtype);
  },
  Concat: ({ inputs, attrs, trace }) => {
    const axis = tf.util.parseAxisParam(attrs["axis"] as number, inputs[0]!.shape)[0]!;
    const shape = tf.backend_util.computeOutShape(
      inputs.map((t) => t.shape),
      axis,
    );
    const parts = inputs.filter((t) => elementCount(t.shape) > 0);
    if (parts.length === 1) return parts[0]!;
    return trace.emit("Concat", parts, shape, inputs[0]!.dtype, { axis: { int: axis } });
  },
  Pack: ({ inputs, attrs, trace }) => {
    const axis = attrs["axis"] as number;
    const shape = [...inputs[0]!.shape];
    shape.splice(axis, 0, 1);
    const parts = inputs.map((t) => reshape(trace, t, shape));
    const outShape = shape.map((d, i) => (i === axis ? inputs.length : d));
    return trace.emit("Concat", parts, outShape, inputs[0]!.dtype, { axis: { int: axis } });
  },
  Unpack: ({ inputs: [x], attrs, trace }) => {
    const axis = tf.util.parseAxisParam(attrs["axis"] as number, x!.shape)[0]!;
    const shape = x!.shape.filter((_, i) => i !== axis);
    return Array.from({ length: x!.shape[axis]! }, (_, i) =>
      trace.emit("Gather", [x!, trace.constant([i], [], "int32")], shape, x!.dtype, { axis: { int: axis } }),
    );
  },
  SplitV: ({ inputs: [x], attrs, trace }) => {
    const axis = tf.util.parseAxisParam(attrs["axis"] as number, x!.shape)[0]!;
    const sizes = tf.backend_util.prepareSplitSize(x! as never, attrs["numOrSizeSplits"] as number[], axis);
    if (sizes.length === 1) return [x!];
    const outputs = sizes.map((length) => ({
      shape: x!.shape.map((d, i) => (i === axis ? length : d)),
      dtype: x!.dtype,
    }));
    const splat = trace.splatValue(x!);
    if (splat !== undefined)
      return outputs.map(({ shape }) => trace.splat(splat, shape, x!.dtype as "float32"));
    return trace.emitMany("Split", [x!, trace.ints(sizes)], outputs, { axis: { int: axis } });
  },
  Slice: ({ inputs: [x], attrs, trace }) => {
    const { begin, size } = attrs as { begin: number | number[]; size: number | number[] };
    const [starts, shape] = tf.slice_util.parseSliceParams(x! as never, begin, size) as [number[], number[]];
    const splat = trace.splatValue(x!);
    if (splat !== undefined) return trace.splat(splat, shape, x!.dtype as "float32");
    const axes = x!.shape.map((_, i) => i).filter((i) => shape[i] !== x!.shape[i]);
    if (axes.length === 0) return x!;
    return trace.emit(
      "Slice",
      [
        x!,
        trace.ints(axes.map((i) => starts[i]!)),
        trace.ints(axes.map((i) => starts[i]! + shape[i]!)),
        trace.ints(axes),
      ],
      shape,
      x!.dtype,
    );
  },
  PadV2: ({ inputs: [x], attrs, trace }) => {
    const paddings = attrs["paddings"] as [number, number][];
    const shape = x!.shape.map((d, i) => d + paddings[i]![0] + paddings[i]![1]);
    if (sameShape(shape, x!.shape)) return x!;
    const pads = [...paddings.map((p) => p[0]), ...paddings.map((p) => p[1])];
    const value = trace.constant([attrs["constantValue"] as number], [], x!.dtype as "float32");
    return trace.emit("Pad", [x!, trace.ints(pads), value], shape, x!.dtype, {
      mode: { string: "constant" },
    });
  },
  Reverse: ({ inputs: [x], attrs, trace }) => {
    const axes = tf.util.parseAxisParam(attrs["dims"] as number[], x!.shape);
    if (axes.length === 0) return x!;
    const end = axes.map((i) => -x!.shape[i]! - 1);
    return trace.emit(
      "Slice",
      [x!, trace.ints(axes.map(() => -1)), trace.ints(end), trace.ints(axes), trace.ints(axes.map(() => -1))],
      x!.shape,
      x!.dtype,
    );
  },
  GatherV2: ({ named, attrs, trace }) => {
    const [x, indices] = [named["x"]!, named["indices"]!];
    if ((attrs["batchDims"] as number | undefined) ?? 0)
      throw new Error("GatherV2: batchDims is not lowered");
    const axis = tf.util.parseAxisParam(attrs["axis"] as number, x.shape)[0]!;
    const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
    return trace.emit("Gather", [x, indices], shape, x.dtype, { axis: { int: axis } });
  },
  Select: ({ named, trace }) => {
    const [condition, t, e] = [named["condition"]!, named["t"]!, named["e"]!];
    return trace.emit("Where", [condition, trace.scalarOf(t), trace.scalarOf(e)], t.shape, t.dtype);
  },
  OneHot: ({ named, attrs, trace }) => {
    const indices = named["indices"]!;
    const depth = attrs["depth"] as number;
    const dtype = ((attrs["dtype"] as string | undefined) ?? "int32") as "float32" | "int32";
    const shape = [...indices.shape, depth];
    const column = reshape(trace, indices, [...indices.shape, 1]);
    const range = trace.constant(
      Array.from({ length: depth }, (_, i) => i),
      [depth],
      "int32",
    );
    const hit = trace.emit("Equal", [column, range], shape, "bool");
    const [on, off] = [(attrs["onValue"] as number) ?? 1, (attrs["offValue"] as number) ?? 0];
    if (on === 1 && off === 0) return cast(trace, hit, dtype);
    return trace.emit("Where", [hit, scalar(trace, on, dtype), scalar(trace, off, dtype)], shape, dtype);
  },
  Fill: ({ attrs, trace }) => {
    const dtype = (attrs["dtype"] as string | undefined) ?? "float32";
    return trace.splat(Number(attrs["value"]), attrs["shape"] as number[], dtype as "float32");
  },
  ZerosLike: ({ inputs: [x], trace }) => trace.splat(0, x!.shape, x!.dtype as "float32"),
  OnesLike: ({ inputs: [x], trace }) => trace.splat(1, x!.shape, x!.dtype as "float32"),
  Range: ({ attrs, trace }) => {
    const [start, stop, step] = [
      attrs["start"] as number,
      attrs["stop"] as number,
      (attrs["step"] as number) ?? 1,
    ];
    const count = Math.max(0, Math.ceil((stop - start) / step));
    const dtype = ((attrs["dtype"] as string | undefined) ?? "float32") as "float32";
    return trace.constant(
      Array.from({ length: count }, (_, i) => start + i * step),
      [count],
      dtype,
    );
  },
};
