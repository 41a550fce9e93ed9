import type { TensorInfo } from "@tensorflow/tfjs-core";
import { elementCount } from "../../dims.ts";
import type { AxesAttributes, NormalizationAttributes } from "../../kernels/attributes.ts";
import { tf } from "../../tf.ts";
import { type EmittedAttribute, type KernelLowerings, type Lowering, MICROSOFT } from "../graph-builder.ts";
import { cast, reshape } from "./standard.ts";

/** One ONNX node that broadcasts by itself; the first operand's type is the result's. */
const broadcasting =
  (opType: string, attributes: Readonly<Record<string, EmittedAttribute>> = {}): Lowering<object> =>
  ({ inputs: [a, b], graph }) =>
    graph.emit(
      opType,
      [a!, b!],
      tf.broadcast_util.assertAndGetBroadcastShape(a!.shape, b!.shape),
      a!.dtype,
      attributes,
    );

/** ONNX shifts unsigned integers only. */
const shift =
  (direction: string): Lowering<object> =>
  ({ inputs, graph }) => {
    const UINT32 = 12;
    const [a, b] = inputs.map((x) => graph.emit("Cast", [x], x.shape, "uint32", { to: { int: UINT32 } })) as [
      TensorInfo,
      TensorInfo,
    ];
    const shape = tf.broadcast_util.assertAndGetBroadcastShape(a.shape, b.shape);
    const y = graph.emit("BitShift", [a, b], shape, "uint32", { direction: { string: direction } });
    return graph.emit("Cast", [y], shape, "int32", { to: { int: 6 } });
  };

const extreme =
  (opType: string): Lowering<AxesAttributes> =>
  ({ inputs: [x], attrs: { axes }, graph }) => {
    const shape = x!.shape.map((d, i) => (axes.includes(i) ? 1 : d));
    if (axes.every((a) => x!.shape[a] === 1)) return x!;
    return graph.emit(opType, [x!, graph.ints(axes)], shape, x!.dtype, { keepdims: { int: 1 } });
  };

/**
 * LayerNormalization with all three outputs, of which one is returned, so that kernels for different ones
 * share the node. It works on [rows, row length], through a Reshape: directly after an Add, ONNX Runtime
 * would fuse it to a SkipLayerNormalization, which is several times slower.
 */
const layerNormalization =
  (output: 0 | 2): Lowering<NormalizationAttributes> =>
  ({ inputs: [x], attrs: { axis, epsilon }, graph }) => {
    const shape = x!.shape;
    const [rows, length] = [elementCount(shape.slice(0, axis)), elementCount(shape.slice(axis))];
    const flat = graph.emit("Reshape", [x!, graph.ints([rows, length])], [rows, length], "float32");
    const ones = graph.constant(new Float32Array(length).fill(1), [length], "float32");
    const statistics = { shape: [rows, 1], dtype: "float32" };
    const made = graph.emitMany(
      "LayerNormalization",
      [flat, ones],
      [{ shape: [rows, length], dtype: "float32" }, statistics, statistics],
      { axis: { int: 1 }, epsilon: { float: epsilon } },
    )[output]!;
    const whole = output === 0 ? shape : shape.map((d, i) => (i >= axis ? 1 : d));
    return graph.emit("Reshape", [made, graph.ints(whole)], whole, "float32");
  };

/** Lowerings of converters/kernels/{arithmetic,determinant,inverse,normalization,reduction}.ts. */
export const elementaryLowerings = {
  OnnxIntegerDiv: broadcasting("Div"),
  OnnxIntegerMul: broadcasting("Mul"),
  OnnxIntegerPow: broadcasting("Pow"),
  OnnxBitwiseAnd: broadcasting("BitwiseAnd"),
  OnnxBitwiseOr: broadcasting("BitwiseOr"),
  OnnxBitwiseXor: broadcasting("BitwiseXor"),
  OnnxShiftLeft: shift("LEFT"),
  OnnxShiftRight: shift("RIGHT"),
  OnnxIntegerMatMul: ({ inputs: [a, b], graph }) =>
    graph.emit("MatMul", [a!, b!], [...a!.shape.slice(0, -1), b!.shape[b!.shape.length - 1]!], "int32"),
  OnnxMod: (args) => broadcasting("Mod", { fmod: { int: args.attrs.fmod ? 1 : 0 } })(args),
  OnnxStandardize: layerNormalization(0),
  OnnxInverseDeviation: layerNormalization(2),
  OnnxAbs: ({ inputs: [x], graph }) => graph.emit("Abs", [x!], x!.shape, "float32"),
  OnnxTruncate: ({ inputs: [x], attrs, graph }) => cast(graph, x!, attrs.to),
  OnnxNormRoot: ({ inputs: [x], graph }) => graph.emit("Sqrt", [x!], x!.shape, "float32"),
  OnnxReduceMax: extreme("ReduceMax"),
  OnnxReduceMin: extreme("ReduceMin"),
  OnnxPeak: (args) => {
    const { graph } = args;
    const peak = extreme("ReduceMax")(args) as TensorInfo;
    const magnitude = graph.emit("Abs", [peak], peak.shape, "float32");
    const finite = graph.emit(
      "Less",
      [magnitude, graph.constant([Number.POSITIVE_INFINITY], [], "float32")],
      peak.shape,
      "bool",
    );
    return graph.emit("Where", [finite, peak, graph.constant([0], [], "float32")], peak.shape, "float32");
  },
  OnnxCumSum: ({ inputs: [x], attrs, graph }) =>
    graph.emit("CumSum", [x!, graph.constant([attrs.axis], [], "int32")], x!.shape, x!.dtype, {
      exclusive: { int: attrs.exclusive ? 1 : 0 },
      reverse: { int: attrs.reverse ? 1 : 0 },
    }),
  OnnxSoftmax: ({ inputs: [x], attrs, graph }) =>
    graph.emit(attrs.log ? "LogSoftmax" : "Softmax", [x!], x!.shape, "float32", {
      axis: { int: attrs.axis },
    }),
  OnnxInverse: ({ inputs: [x], graph }) => graph.emit([MICROSOFT, "Inverse"], [x!], x!.shape, "float32"),
  OnnxDet: ({ inputs: [x], graph }) => {
    const shape = x!.shape.slice(0, -2);
    return shape.length > 0
      ? graph.emit("Det", [x!], shape, "float32")
      : reshape(graph, graph.emit("Det", [reshape(graph, x!, [1, ...x!.shape])], [1], "float32"), []);
  },
} satisfies Partial<KernelLowerings>;
