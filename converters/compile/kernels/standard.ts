import type { TensorInfo } from "@tensorflow/tfjs-core";
import { elementCount } from "../../dims.ts";
import { tf } from "../../tf.ts";
import {
  type EmittedAttribute,
  type GraphBuilder,
  type Lowering,
  type LoweringArguments,
  MICROSOFT,
  type Operand,
} from "../graph-builder.ts";

const sameShape = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((d, i) => d === b[i]);

/** A splat as a scalar, if the other operand has the result's shape, so that it need not be expanded. */
const broadcastOperand = (
  builder: GraphBuilder,
  tensor: TensorInfo,
  other: TensorInfo,
  outShape: readonly number[],
): Operand => (sameShape(other.shape, outShape) ? builder.scalarOf(tensor) : tensor);

export const cast = (builder: GraphBuilder, x: TensorInfo, dtype: string): TensorInfo => {
  if (x.dtype === dtype) return x;
  const splat = builder.splatValue(x);
  if (splat !== undefined) {
    const value = dtype === "bool" ? Number(splat !== 0) : dtype === "int32" ? Math.trunc(splat) : splat;
    return builder.splat(value, x.shape, dtype as "float32");
  }
  const to = dtype === "float32" ? 1 : dtype === "int32" ? 6 : dtype === "int64" ? 7 : 9;
  return builder.emit("Cast", [x], x.shape, dtype, { to: { int: to } });
};

/** The operand before it was broadcast, if it is known to have been. */
const narrow = (builder: GraphBuilder, x: TensorInfo): TensorInfo => {
  const splat = builder.splatValue(x);
  return splat === undefined ? (builder.spreadOf(x) ?? x) : builder.splat(splat, [], x.dtype as "float32");
};

const binary = (
  opType: string,
  fold: (a: number, b: number) => number,
  neutral: { left?: number; right?: number } = {},
): Lowering => {
  const lower: Lowering = ({ inputs: [a, b], named, attrs, builder }) => {
    const shape = tf.broadcast_util.assertAndGetBroadcastShape(a!.shape, b!.shape);
    const [sa, sb] = [builder.splatValue(a!), builder.splatValue(b!)];
    if (sa !== undefined && sb !== undefined) {
      const value = a!.dtype === "float32" ? Math.fround(fold(sa, sb)) : Math.trunc(fold(sa, sb));
      return builder.splat(value, shape, a!.dtype as "float32");
    }
    if (sb !== undefined && sb === neutral.right && sameShape(a!.shape, shape)) return a!;
    if (sa !== undefined && sa === neutral.left && sameShape(b!.shape, shape)) return b!;
    // Gradients of sums are broadcast values: compute on the smaller operands, then broadcast the result.
    const inputs = [narrow(builder, a!), narrow(builder, b!)] as [TensorInfo, TensorInfo];
    const within = tf.broadcast_util.assertAndGetBroadcastShape(inputs[0].shape, inputs[1].shape);
    if (elementCount(within) < elementCount(shape))
      return builder.spread(lower({ inputs, named, attrs, builder }) as TensorInfo, shape);
    const [x, y] = sameShape(within, shape) ? inputs : [a!, b!];
    return builder.emit(
      opType,
      [broadcastOperand(builder, x, y, shape), broadcastOperand(builder, y, x, shape)],
      shape,
      a!.dtype,
    );
  };
  return lower;
};

const compare =
  (opType: string, negate = false): Lowering =>
  ({ inputs: [a, b], builder }) => {
    const shape = tf.broadcast_util.assertAndGetBroadcastShape(a!.shape, b!.shape);
    const y = builder.emit(
      opType,
      [broadcastOperand(builder, a!, b!, shape), broadcastOperand(builder, b!, a!, shape)],
      shape,
      "bool",
    );
    return negate ? builder.emit("Not", [y], shape, "bool") : y;
  };

const unary =
  (opType: string, fold?: (x: number) => number): Lowering =>
  ({ inputs: [x], builder }) => {
    const splat = builder.splatValue(x!);
    if (splat !== undefined && fold)
      return builder.splat(Math.fround(fold(splat)), x!.shape, x!.dtype as "float32");
    return builder.emit(opType, [x!], x!.shape, x!.dtype);
  };

const floatUnary =
  (opType: string): Lowering =>
  ({ inputs: [x], builder }) =>
    builder.emit(opType, [cast(builder, x!, "float32")], x!.shape, "float32");

const axesOf = (attrs: LoweringArguments["attrs"], x: TensorInfo): number[] =>
  tf.util.parseAxisParam((attrs["axis"] ?? attrs["reductionIndices"] ?? null) as number[], x.shape);

const reduce =
  (opType: string, splatFold?: (value: number, count: number) => number): Lowering =>
  ({ inputs: [input], attrs, builder }) => {
    const x = input!.dtype === "bool" ? cast(builder, input!, "int32") : input!;
    const axes = axesOf(attrs, x);
    const keep = Boolean(attrs["keepDims"]);
    const [reduced, removed] = tf.backend_util.computeOutAndReduceShapes(x.shape, axes);
    const shape = keep ? tf.backend_util.expandShapeToKeepDim(reduced, axes) : reduced;
    const splat = builder.splatValue(x);
    if (splat !== undefined && splatFold)
      return builder.splat(splatFold(splat, elementCount(removed)), shape, x.dtype as "float32");
    if (axes.length === 0) return x;
    if (elementCount(removed) === 1) return reshape(builder, x, shape);
    return builder.emit(opType, [x, builder.ints(axes)], shape, x.dtype, { keepdims: { int: keep ? 1 : 0 } });
  };

const booleanReduce =
  (opType: string): Lowering =>
  (args) => {
    const x = cast(args.builder, args.inputs[0]!, "int32");
    return cast(args.builder, reduce(opType)({ ...args, inputs: [x] }) as TensorInfo, "bool");
  };

/** Another shape of the same elements, by at most one Reshape; a splat stays a splat. */
export const reshape = (builder: GraphBuilder, x: TensorInfo, shape: readonly number[]): TensorInfo => {
  if (sameShape(x.shape, shape)) return x;
  const splat = builder.splatValue(x);
  if (splat !== undefined) return builder.splat(splat, shape, x.dtype as "float32");
  const producer = builder.producerOf(x);
  const source: Operand = producer?.opType === "Reshape" ? producer.inputs[0]! : x;
  // A dimension of 0 means 0 elements here; ONNX would otherwise copy the input's dimension.
  const attributes: Record<string, EmittedAttribute> = shape.includes(0) ? { allowzero: { int: 1 } } : {};
  return builder.emit("Reshape", [source, builder.ints(shape)], shape, x.dtype, attributes);
};

const transpose = (builder: GraphBuilder, x: TensorInfo, perm: readonly number[]): TensorInfo => {
  const shape = perm.map((p) => x.shape[p]!);
  const splat = builder.splatValue(x);
  if (splat !== undefined) return builder.splat(splat, shape, x.dtype as "float32");
  if (perm.every((p, i) => p === i)) return x;
  const producer = builder.producerOf(x);
  if (producer?.opType === "Transpose") {
    const inner = producer.attributes["perm"] as { readonly ints: readonly number[] };
    const combined = perm.map((p) => inner.ints[p]!);
    if (combined.every((p, i) => p === i)) return builder.reuse(producer.inputs[0]!, shape, x.dtype);
    return builder.emit("Transpose", [producer.inputs[0]!], shape, x.dtype, { perm: { ints: combined } });
  }
  return builder.emit("Transpose", [x], shape, x.dtype, { perm: { ints: [...perm] } });
};

const argReduce =
  (opType: string): Lowering =>
  ({ inputs: [x], attrs, builder }) => {
    const axis = tf.util.parseAxisParam(attrs["axis"] as number, x!.shape)[0]!;
    const shape = x!.shape.filter((_, i) => i !== axis);
    const y = builder.emit(opType, [x!], shape, "int64", { axis: { int: axis }, keepdims: { int: 0 } });
    return cast(builder, y, "int32");
  };

const matMul: Lowering = ({ named, attrs, builder }) => {
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
      named: { a: reshape(builder, a, a.shape.slice(1)), b: reshape(builder, b, b.shape.slice(1)) },
      attrs,
      builder,
    }) as TensorInfo;
    return reshape(builder, flat, shape);
  }
  // ONNX Runtime copies a transposed left factor. Over many rows it costs less to swap the factors, so that
  // the narrower matrix is on the right, and to transpose the small result.
  if (ta && !tb && rank === 2 && n >= 2 * m && a.shape[0]! >= 16 * m)
    return transpose(
      builder,
      matMul({ inputs: [], named: { a: b, b: a }, attrs, builder }) as TensorInfo,
      [1, 0],
    );
  if (!ta && !tb) return builder.emit("MatMul", [a, b], shape, "float32");
  return builder.emit([MICROSOFT, "FusedMatMul"], [a, b], shape, "float32", {
    transA: { int: ta ? 1 : 0 },
    transB: { int: tb ? 1 : 0 },
  });
};

const scalar = (builder: GraphBuilder, value: number, dtype: "float32" | "int32" = "float32") =>
  builder.constant([value], [], dtype);

/** Lowerings of tfjs's own kernels: those that operators, losses, optimisers and their gradients use. */
export const standardLowerings: Readonly<Record<string, Lowering>> = {
  Add: binary("Add", (a, b) => a + b, { left: 0, right: 0 }),
  Sub: binary("Sub", (a, b) => a - b, { right: 0 }),
  Multiply: binary("Mul", (a, b) => a * b, { left: 1, right: 1 }),
  RealDiv: (args) => {
    const inputs = args.inputs.map((x) => cast(args.builder, x, "float32"));
    return binary("Div", (a, b) => a / b, { right: 1 })({ ...args, inputs });
  },
  Maximum: binary("Max", Math.max),
  Minimum: binary("Min", Math.min),
  Pow: (args) => {
    const exponent = args.builder.splatValue(args.inputs[1]!);
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
    const { builder } = args;
    const inputs = args.inputs.map((x) => cast(builder, x, "float32"));
    const quotient = binary("Div", (a, b) => a / b)({ ...args, inputs }) as TensorInfo;
    return cast(builder, builder.emit("Floor", [quotient], quotient.shape, "float32"), args.inputs[0]!.dtype);
  },
  Mod: (args) => {
    const { builder, inputs } = args;
    const [a, b] = inputs as [TensorInfo, TensorInfo];
    if (a.dtype !== "float32") return binary("Mod", (x, y) => ((x % y) + y) % y)(args);
    const quotient = binary("Div", (x, y) => x / y)(args) as TensorInfo;
    const floor = builder.emit("Floor", [quotient], quotient.shape, "float32");
    const product = builder.emit("Mul", [floor, b], quotient.shape, "float32");
    return builder.emit("Sub", [a, product], quotient.shape, "float32");
  },
  SquaredDifference: (args) => {
    const d = binary("Sub", (a, b) => a - b)(args) as TensorInfo;
    return args.builder.emit("Mul", [d, d], d.shape, d.dtype);
  },
  AddN: ({ inputs, builder }) =>
    inputs.length === 1 ? inputs[0]! : builder.emit("Sum", inputs, inputs[0]!.shape, inputs[0]!.dtype),

  Equal: compare("Equal"),
  NotEqual: compare("Equal", true),
  Greater: compare("Greater"),
  GreaterEqual: compare("GreaterOrEqual"),
  Less: compare("Less"),
  LessEqual: compare("LessOrEqual"),
  LogicalAnd: compare("And"),
  LogicalOr: compare("Or"),
  LogicalNot: ({ inputs: [x], builder }) => builder.emit("Not", [x!], x!.shape, "bool"),
  IsNan: ({ inputs: [x], builder }) => builder.emit("IsNaN", [x!], x!.shape, "bool"),
  IsInf: ({ inputs: [x], builder }) => builder.emit("IsInf", [x!], x!.shape, "bool"),
  IsFinite: ({ inputs: [x], builder }) => {
    const inf = builder.emit("IsInf", [x!], x!.shape, "bool");
    const nan = builder.emit("IsNaN", [x!], x!.shape, "bool");
    return builder.emit("Not", [builder.emit("Or", [inf, nan], x!.shape, "bool")], x!.shape, "bool");
  },

  Abs: unary("Abs", Math.abs),
  Neg: unary("Neg", (x) => -x),
  Exp: floatUnary("Exp"),
  Log: floatUnary("Log"),
  Sqrt: floatUnary("Sqrt"),
  Rsqrt: ({ inputs: [x], builder }) =>
    builder.emit("Reciprocal", [builder.emit("Sqrt", [x!], x!.shape, "float32")], x!.shape, "float32"),
  Reciprocal: unary("Reciprocal", (x) => 1 / x),
  Square: ({ inputs: [x], builder }) => {
    const splat = builder.splatValue(x!);
    if (splat !== undefined) return builder.splat(splat * splat, x!.shape, x!.dtype as "float32");
    return builder.emit("Mul", [x!, x!], x!.shape, x!.dtype);
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
  Relu6: ({ inputs: [x], builder }) =>
    builder.emit("Clip", [x!, scalar(builder, 0), scalar(builder, 6)], x!.shape, x!.dtype),
  Elu: unary("Elu"),
  Selu: unary("Selu"),
  EluGrad: ({ named, builder }) => {
    const [dy, y] = [named["dy"]!, named["y"]!];
    const positive = builder.emit("GreaterOrEqual", [y, scalar(builder, 0)], y.shape, "bool");
    const shifted = builder.emit("Add", [y, scalar(builder, 1)], y.shape, "float32");
    const slope = builder.emit("Where", [positive, scalar(builder, 1), shifted], y.shape, "float32");
    return builder.emit("Mul", [dy, slope], y.shape, "float32");
  },
  LeakyRelu: ({ inputs: [x], attrs, builder }) =>
    builder.emit("LeakyRelu", [x!], x!.shape, x!.dtype, { alpha: { float: attrs["alpha"] as number } }),
  Prelu: ({ named, builder }) =>
    builder.emit("PRelu", [named["x"]!, named["alpha"]!], named["x"]!.shape, "float32"),
  Expm1: ({ inputs: [x], builder }) => {
    const e = builder.emit("Exp", [x!], x!.shape, "float32");
    return builder.emit("Sub", [e, scalar(builder, 1)], x!.shape, "float32");
  },
  Log1p: ({ inputs: [x], builder }) => {
    const s = builder.emit("Add", [x!, scalar(builder, 1)], x!.shape, "float32");
    return builder.emit("Log", [s], x!.shape, "float32");
  },
  Step: ({ inputs: [x], attrs, builder }) => {
    const alpha = (attrs["alpha"] as number | undefined) ?? 0;
    // The gradient of a ReLU. It reads the ReLU's output, which exists already, so that the input can be
    // freed. A steep HardSigmoid clip(3e38·y, 0, 1) makes the mask as floats in one pass; a comparison and a
    // cast take two.
    if (alpha === 0 && x!.dtype === "float32") {
      const y = builder.emit("Relu", [x!], x!.shape, "float32");
      return builder.emit("HardSigmoid", [y], x!.shape, "float32", {
        alpha: { float: 3e38 },
        beta: { float: 0 },
      });
    }
    const positive = builder.emit(
      "Greater",
      [x!, scalar(builder, 0, x!.dtype as "float32")],
      x!.shape,
      "bool",
    );
    if (alpha === 0) return cast(builder, positive, "float32");
    return builder.emit("Where", [positive, scalar(builder, 1), scalar(builder, alpha)], x!.shape, "float32");
  },
  ClipByValue: ({ inputs: [x], attrs, builder }) =>
    builder.emit(
      "Clip",
      [
        x!,
        scalar(builder, attrs["clipValueMin"] as number),
        scalar(builder, attrs["clipValueMax"] as number),
      ],
      x!.shape,
      x!.dtype,
    ),
  Cast: ({ inputs: [x], attrs, builder }) => {
    const to = attrs["dtype"] as string;
    // tfjs truncates toward zero, as ONNX does.
    return cast(builder, x!, to);
  },
  Identity: ({ inputs: [x] }) => ({ ...x! }),
  Softmax: ({ inputs: [x], attrs, builder }) => {
    const axis = attrs["dim"] as number;
    return builder.emit("Softmax", [x!], x!.shape, "float32", {
      axis: { int: axis < 0 ? axis + x!.shape.length : axis },
    });
  },
  LogSoftmax: ({ inputs: [x], attrs, builder }) => {
    const axis = attrs["axis"] as number;
    return builder.emit("LogSoftmax", [x!], x!.shape, "float32", { axis: { int: axis } });
  },

  Sum: reduce("ReduceSum", (v, n) => v * n),
  Mean: (args) =>
    reduce("ReduceMean", (v) => v)({ ...args, inputs: [cast(args.builder, args.inputs[0]!, "float32")] }),
  Max: reduce("ReduceMax", (v) => v),
  Min: reduce("ReduceMin", (v) => v),
  Prod: reduce("ReduceProd", (v, n) => v ** n),
  Any: booleanReduce("ReduceMax"),
  All: booleanReduce("ReduceMin"),
  ArgMax: argReduce("ArgMax"),
  ArgMin: argReduce("ArgMin"),
  Cumsum: ({ inputs: [x], attrs, builder }) => {
    const axis = attrs["axis"] as number;
    return builder.emit(
      "CumSum",
      [x!, builder.constant([axis < 0 ? axis + x!.shape.length : axis], [], "int32")],
      x!.shape,
      x!.dtype,
      {
        exclusive: { int: attrs["exclusive"] ? 1 : 0 },
        reverse: { int: attrs["reverse"] ? 1 : 0 },
      },
    );
  },

  BatchMatMul: matMul,
  Reshape: ({ inputs: [x], attrs, builder }) =>
    reshape(builder, x!, tf.util.inferFromImplicitShape(attrs["shape"] as number[], elementCount(x!.shape))),
  ExpandDims: ({ inputs: [x], attrs, builder }) => {
    const dim = attrs["dim"] as number;
    const shape = [...x!.shape];
    shape.splice(dim < 0 ? dim + x!.shape.length + 1 : dim, 0, 1);
    return reshape(builder, x!, shape);
  },
  Transpose: ({ inputs: [x], attrs, builder }) => transpose(builder, x!, attrs["perm"] as number[]),
  Tile: ({ inputs: [x], attrs, builder }) => {
    const reps = attrs["reps"] as number[];
    const shape = x!.shape.map((d, i) => d * reps[i]!);
    const splat = builder.splatValue(x!);
    if (splat !== undefined) return builder.splat(splat, shape, x!.dtype as "float32");
    return sameShape(shape, x!.shape) ? x! : builder.emit("Tile", [x!, builder.ints(reps)], shape, x!.dtype);
  },
  Concat: ({ inputs, attrs, builder }) => {
    const axis = tf.util.parseAxisParam(attrs["axis"] as number, inputs[0]!.shape)[0]!;
    const shape = tf.backend_util.computeOutShape(
      inputs.map((t) => t.shape),
      axis,
    );
    const parts = inputs.filter((t) => elementCount(t.shape) > 0);
    if (parts.length === 1) return parts[0]!;
    return builder.emit("Concat", parts, shape, inputs[0]!.dtype, { axis: { int: axis } });
  },
  Pack: ({ inputs, attrs, builder }) => {
    const axis = attrs["axis"] as number;
    const shape = [...inputs[0]!.shape];
    shape.splice(axis, 0, 1);
    const parts = inputs.map((t) => reshape(builder, t, shape));
    const outShape = shape.map((d, i) => (i === axis ? inputs.length : d));
    return builder.emit("Concat", parts, outShape, inputs[0]!.dtype, { axis: { int: axis } });
  },
  Unpack: ({ inputs: [x], attrs, builder }) => {
    const axis = tf.util.parseAxisParam(attrs["axis"] as number, x!.shape)[0]!;
    const shape = x!.shape.filter((_, i) => i !== axis);
    return Array.from({ length: x!.shape[axis]! }, (_, i) =>
      builder.emit("Gather", [x!, builder.constant([i], [], "int32")], shape, x!.dtype, {
        axis: { int: axis },
      }),
    );
  },
  SplitV: ({ inputs: [x], attrs, builder }) => {
    const axis = tf.util.parseAxisParam(attrs["axis"] as number, x!.shape)[0]!;
    const sizes = tf.backend_util.prepareSplitSize(x! as never, attrs["numOrSizeSplits"] as number[], axis);
    if (sizes.length === 1) return [x!];
    const outputs = sizes.map((length) => ({
      shape: x!.shape.map((d, i) => (i === axis ? length : d)),
      dtype: x!.dtype,
    }));
    const splat = builder.splatValue(x!);
    if (splat !== undefined)
      return outputs.map(({ shape }) => builder.splat(splat, shape, x!.dtype as "float32"));
    return builder.emitMany("Split", [x!, builder.ints(sizes)], outputs, { axis: { int: axis } });
  },
  Slice: ({ inputs: [x], attrs, builder }) => {
    const { begin, size } = attrs as { begin: number | number[]; size: number | number[] };
    const [starts, shape] = tf.slice_util.parseSliceParams(x! as never, begin, size) as [number[], number[]];
    const splat = builder.splatValue(x!);
    if (splat !== undefined) return builder.splat(splat, shape, x!.dtype as "float32");
    const axes = x!.shape.map((_, i) => i).filter((i) => shape[i] !== x!.shape[i]);
    if (axes.length === 0) return x!;
    return builder.emit(
      "Slice",
      [
        x!,
        builder.ints(axes.map((i) => starts[i]!)),
        builder.ints(axes.map((i) => starts[i]! + shape[i]!)),
        builder.ints(axes),
      ],
      shape,
      x!.dtype,
    );
  },
  PadV2: ({ inputs: [x], attrs, builder }) => {
    const paddings = attrs["paddings"] as [number, number][];
    const shape = x!.shape.map((d, i) => d + paddings[i]![0] + paddings[i]![1]);
    if (sameShape(shape, x!.shape)) return x!;
    const pads = [...paddings.map((p) => p[0]), ...paddings.map((p) => p[1])];
    const value = builder.constant([attrs["constantValue"] as number], [], x!.dtype as "float32");
    return builder.emit("Pad", [x!, builder.ints(pads), value], shape, x!.dtype, {
      mode: { string: "constant" },
    });
  },
  Reverse: ({ inputs: [x], attrs, builder }) => {
    const axes = tf.util.parseAxisParam(attrs["dims"] as number[], x!.shape);
    if (axes.length === 0) return x!;
    const end = axes.map((i) => -x!.shape[i]! - 1);
    return builder.emit(
      "Slice",
      [
        x!,
        builder.ints(axes.map(() => -1)),
        builder.ints(end),
        builder.ints(axes),
        builder.ints(axes.map(() => -1)),
      ],
      x!.shape,
      x!.dtype,
    );
  },
  GatherV2: ({ named, attrs, builder }) => {
    const [x, indices] = [named["x"]!, named["indices"]!];
    if ((attrs["batchDims"] as number | undefined) ?? 0)
      throw new Error("GatherV2: batchDims is not lowered");
    const axis = tf.util.parseAxisParam(attrs["axis"] as number, x.shape)[0]!;
    const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
    return builder.emit("Gather", [x, indices], shape, x.dtype, { axis: { int: axis } });
  },
  Select: ({ named, builder }) => {
    const [condition, t, e] = [named["condition"]!, named["t"]!, named["e"]!];
    return builder.emit("Where", [condition, builder.scalarOf(t), builder.scalarOf(e)], t.shape, t.dtype);
  },
  OneHot: ({ named, attrs, builder }) => {
    const indices = named["indices"]!;
    const depth = attrs["depth"] as number;
    const dtype = ((attrs["dtype"] as string | undefined) ?? "int32") as "float32" | "int32";
    const shape = [...indices.shape, depth];
    const column = reshape(builder, indices, [...indices.shape, 1]);
    const range = builder.constant(
      Array.from({ length: depth }, (_, i) => i),
      [depth],
      "int32",
    );
    const hit = builder.emit("Equal", [column, range], shape, "bool");
    const [on, off] = [(attrs["onValue"] as number) ?? 1, (attrs["offValue"] as number) ?? 0];
    if (on === 1 && off === 0) return cast(builder, hit, dtype);
    return builder.emit(
      "Where",
      [hit, scalar(builder, on, dtype), scalar(builder, off, dtype)],
      shape,
      dtype,
    );
  },
  Fill: ({ attrs, builder }) => {
    const dtype = (attrs["dtype"] as string | undefined) ?? "float32";
    return builder.splat(Number(attrs["value"]), attrs["shape"] as number[], dtype as "float32");
  },
  ZerosLike: ({ inputs: [x], builder }) => builder.splat(0, x!.shape, x!.dtype as "float32"),
  OnesLike: ({ inputs: [x], builder }) => builder.splat(1, x!.shape, x!.dtype as "float32"),
  Range: ({ attrs, builder }) => {
    const [start, stop, step] = [
      attrs["start"] as number,
      attrs["stop"] as number,
      (attrs["step"] as number) ?? 1,
    ];
    const count = Math.max(0, Math.ceil((stop - start) / step));
    const dtype = ((attrs["dtype"] as string | undefined) ?? "float32") as "float32";
    return builder.constant(
      Array.from({ length: count }, (_, i) => start + i * step),
      [count],
      dtype,
    );
  },
};
