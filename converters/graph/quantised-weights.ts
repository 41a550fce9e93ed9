import { elementCount, positiveAxis } from "../dims.ts";
import { type DataType, isFloatType, type OnnxGraph, type OnnxNode, type OnnxTensor } from "../onnx/model.ts";
import { constantsOf } from "./constants.ts";
import { producersOf } from "./order.ts";
import { allNodes } from "./subgraphs.ts";

/** An integer tensor that holds a quantised weight: (code − zero point) · scale, as in DequantizeLinear. */
export interface QuantisedWeight {
  readonly tensor: OnnxTensor;
  readonly scale: OnnxTensor;
  readonly zero: OnnxTensor | undefined;
  /** The axis along which scales differ; irrelevant with a single scale. */
  readonly axis: number;
  /** The dequantised values, float32. */
  decode(): Float32Array;
  /**
   * The codes nearest to the values (ties to even, saturating); a value equal to the old one keeps its code.
   */
  encode(values: Float32Array): Float64Array;
}

/** Smallest and largest code of each type of quantised weights. */
export const WEIGHT_CODES: { readonly [type in DataType]?: readonly [number, number] } = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
  int32: [-2147483648, 2147483647],
};

/** Rounds to the nearest integer, ties to even. */
export const roundHalfEven = (x: number): number => {
  const r = Math.round(x);
  return Math.abs(x % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r;
};

function weight(
  tensor: OnnxTensor,
  scale: OnnxTensor,
  zero: OnnxTensor | undefined,
  axis: number,
): QuantisedWeight {
  const codes = tensor.data as ArrayLike<number>;
  const scales = scale.data as ArrayLike<number>;
  const zeros = zero ? (zero.data as ArrayLike<number>) : undefined;
  const at = positiveAxis(axis, tensor.dims.length);
  const inner = elementCount(tensor.dims.slice(at + 1));
  const slice = (i: number) => (scales.length === 1 ? 0 : Math.floor(i / inner) % (tensor.dims[at] ?? 1));
  const zeroAt = (i: number) => (zeros ? Number(zeros[zeros.length === 1 ? 0 : slice(i)]) : 0);
  const real = (i: number) => Math.fround((Number(codes[i]) - zeroAt(i)) * scales[slice(i)]!);
  const [low, high] = WEIGHT_CODES[tensor.dtype]!;
  return {
    tensor,
    scale,
    zero,
    axis,
    decode: () => Float32Array.from({ length: codes.length }, (_, i) => real(i)),
    encode: (values) =>
      Float64Array.from(values, (v, i) =>
        Object.is(v, real(i))
          ? Number(codes[i])
          : Math.min(high, Math.max(low, roundHalfEven(v / scales[slice(i)]!) + zeroAt(i))),
      ),
  };
}

/**
 * A scale: a float constant, or the product of two, as the scale of an integer bias is that of x times that
 * of w.
 */
function scaleOf(
  name: string,
  constants: ReadonlyMap<string, OnnxTensor>,
  producers: ReadonlyMap<string, OnnxNode>,
): OnnxTensor | undefined {
  const known = constants.get(name);
  if (known) return isFloatType(known.dtype) ? known : undefined;
  const node = producers.get(name);
  if (node?.opType !== "Mul") return undefined;
  const [a, b] = node.inputs.map((input) => constants.get(input));
  if (!a || !b || (a.data.length !== 1 && b.data.length !== 1)) return undefined;
  const [one, many] = a.data.length === 1 ? [a, b] : [b, a];
  const factor = Number(one.data[0]);
  const data = Float32Array.from(many.data as ArrayLike<number>, (v) => v * factor);
  return { name, dtype: "float32", dims: many.dims, data };
}

/**
 * Every integer tensor that only DequantizeLinear reads, always with the same scale and zero point. Such a
 * tensor is a weight, and its new values are quantised with that scale and zero point.
 * @param graph in its normal form (normal-form.ts), so that names are unique
 */
export function quantisedWeights(graph: OnnxGraph): Map<string, QuantisedWeight> {
  const constants = constantsOf(graph);
  const nodes = allNodes(graph.nodes);
  const producers = producersOf(nodes);
  const found = new Map<string, QuantisedWeight>();
  const refused = new Set(graph.outputs.map(({ name }) => name));
  for (const node of nodes) {
    node.inputs.forEach((name, index) => {
      const tensor = constants.get(name);
      if (!tensor || !WEIGHT_CODES[tensor.dtype]) return;
      const scale =
        node.opType === "DequantizeLinear" && index === 0 && !node.attributes["block_size"]
          ? scaleOf(node.inputs[1]!, constants, producers)
          : undefined;
      const zero = node.inputs[2] ? constants.get(node.inputs[2]) : undefined;
      if (!scale || (node.inputs[2] && !zero)) {
        refused.add(name);
        return;
      }
      const axis = Number(node.attributes["axis"] ?? 1);
      const known = found.get(name);
      const same =
        !known ||
        (String(known.scale.data) === String(scale.data) &&
          String(known.zero?.data ?? "0") === String(zero?.data ?? "0") &&
          (known.axis === axis || scale.data.length === 1));
      if (same) found.set(name, known ?? weight(tensor, scale, zero, axis));
      else refused.add(name);
    });
  }
  for (const name of refused) found.delete(name);
  return found;
}
