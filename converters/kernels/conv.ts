import { elementCount } from "../dims.ts";
import { tf } from "../tf.ts";
import { defineKernel, type Kernel } from "./custom.ts";
import { slice } from "./movement.ts";
import { nativeConv, nativeFilterGrad, nativeInputGrad } from "./native.ts";
import { type ConvAttributes, taps } from "./window.ts";

/** Pads the spatial axes with one value, by concatenation: tf.pad stops at rank 4 on some backends. */
function padSpatial(x: tf.Tensor, pads: readonly number[], value = 0): tf.Tensor {
  const rank = pads.length / 2;
  let y = x;
  for (let i = 0; i < rank; i++) {
    const strip = (width: number) =>
      tf.fill(
        y.shape.map((d, a) => (a === i + 2 ? width : d)),
        value,
      );
    const parts = [
      pads[i]! > 0 ? strip(pads[i]!) : undefined,
      y,
      pads[rank + i]! > 0 ? strip(pads[rank + i]!) : undefined,
    ];
    y = tf.concat(
      parts.filter((p) => p !== undefined),
      i + 2,
    );
  }
  return y;
}

/** The part of the padded input that one tap meets: [N, C, output spatial…]. */
const tapOf = (
  padded: tf.Tensor,
  offset: readonly number[],
  spatial: readonly number[],
  strides: readonly number[],
) => slice(padded, [0, 0, ...offset], [padded.shape[0]!, padded.shape[1]!, ...spatial], [1, 1, ...strides]);

/** [N, C, spatial…] → [group, C/group, N·L] */
function grouped(x: tf.Tensor, group: number): tf.Tensor3D {
  const [n, c] = x.shape as [number, number];
  const l = x.size / (n * c);
  return tf.reshape(tf.transpose(tf.reshape(x, [n, c, l]), [1, 0, 2]), [group, c / group, n * l]);
}
/** [group, C/group, N·L] → [N, C, spatial…] */
function ungrouped(x: tf.Tensor, shape: readonly number[]): tf.Tensor {
  const [n, c] = shape as [number, number];
  return tf.reshape(tf.transpose(tf.reshape(x, [c, n, elementCount(shape.slice(2))]), [1, 0, 2]), [...shape]);
}
/** The weights of one tap: [group, O/group, C/group]. */
const tapWeights = (w: tf.Tensor, index: number, group: number): tf.Tensor => {
  const [o, c] = w.shape as [number, number];
  const flat = tf.reshape(w, [o, c, w.size / (o * c)]);
  return tf.reshape(slice(flat, [0, 0, index], [o, c, 1]), [group, o / group, c]);
};

const paddedSpatial = (a: ConvAttributes) => {
  const rank = a.kernel.length;
  return a.inputShape.slice(2).map((d, i) => d + a.pads[i]! + a.pads[rank + i]!);
};

const withBias = (y: tf.Tensor, bias: tf.Tensor | undefined): tf.Tensor =>
  bias ? tf.add(y, tf.reshape(bias, [bias.size, ...Array(y.rank - 2).fill(1)])) : y;

/** y = Σ_taps W[tap] · x shifted by the tap (+ bias [O]) */
const forwardKernel: Kernel<ConvAttributes> = defineKernel({
  name: "OnnxConv",
  composed: ([x, w, bias], a) => {
    const padded = padSpatial(x!, a.pads);
    const spatial = a.outputShape.slice(2);
    const sum = taps(a)
      .map((offset, i) =>
        tf.matMul(tapWeights(w!, i, a.group), grouped(tapOf(padded, offset, spatial, a.strides), a.group)),
      )
      .reduce((p, q) => tf.add(p, q));
    return withBias(ungrouped(sum, a.outputShape), bias);
  },
  native: ([x, w, bias], a) => {
    const y = nativeConv(x!, w!, a);
    return y && withBias(y, bias);
  },
  gradient: (dy, [x, w], _y, a) => [
    () => inputGradKernel([dy, w!], a),
    () => filterGradKernel([x!, dy], a),
    () =>
      tf.sum(
        dy,
        dy.shape.map((_, i) => i).filter((i) => i !== 1),
      ),
  ],
});

/** dx = Σ_taps W[tap]ᵀ · dy, added to the elements that the tap read */
const inputGradKernel: Kernel<ConvAttributes> = defineKernel({
  name: "OnnxConvInputGrad",
  composed: ([dy, w], a) => {
    const columns = grouped(dy!, a.group);
    const padded = paddedSpatial(a);
    const whole = [...a.inputShape.slice(0, 2), ...padded];
    const pieceShape = [...a.inputShape.slice(0, 2), ...a.outputShape.slice(2)];
    const total = taps(a)
      .map((offset, i) => {
        const piece = ungrouped(tf.matMul(tapWeights(w!, i, a.group), columns, true, false), pieceShape);
        return scatter(piece, offset, whole, a.strides);
      })
      .reduce((p, q) => tf.add(p, q));
    const rank = a.kernel.length;
    return slice(total, [0, 0, ...a.pads.slice(0, rank)], a.inputShape);
  },
  native: ([dy, w], a) => nativeInputGrad(dy!, w!, a),
  gradient: (ddx, [dy, w], _y, a) => [
    () => forwardKernel([ddx, w!], a),
    () => filterGradKernel([ddx, dy!], a),
  ],
});

/** Zeros of `whole` with `piece` at offset, offset + stride, … on the spatial axes. */
function scatter(
  piece: tf.Tensor,
  offset: readonly number[],
  whole: readonly number[],
  strides: readonly number[],
): tf.Tensor {
  let y = piece;
  offset.forEach((begin, i) => {
    const axis = i + 2;
    const zero = y.shape[axis]!;
    const padded = tf.concat([y, tf.zeros(y.shape.map((d, k) => (k === axis ? 1 : d)))], axis);
    const order = new Int32Array(whole[axis]!).fill(zero);
    for (let k = 0; k < zero; k++) order[begin + k * strides[i]!] = k;
    y = tf.gather(padded, tf.tensor1d(order, "int32"), axis);
  });
  return y;
}

/** dW[tap] = dy · (x shifted by the tap)ᵀ */
const filterGradKernel: Kernel<ConvAttributes> = defineKernel({
  name: "OnnxConvFilterGrad",
  composed: ([x, dy], a) => {
    const padded = padSpatial(x!, a.pads);
    const rows = grouped(dy!, a.group);
    const spatial = a.outputShape.slice(2);
    const [o, c] = a.filterShape as [number, number];
    const columns = taps(a).map((offset) =>
      tf.reshape(tf.matMul(rows, grouped(tapOf(padded, offset, spatial, a.strides), a.group), false, true), [
        o,
        c,
        1,
      ]),
    );
    return tf.reshape(tf.concat(columns, 2), [...a.filterShape]);
  },
  native: ([x, dy], a) => nativeFilterGrad(x!, dy!, a),
  gradient: (ddw, [x, dy], _y, a) => [
    () => inputGradKernel([dy!, ddw], a),
    () => forwardKernel([x!, ddw], a),
  ],
});

/** ONNX Conv: x [N, C, spatial…], w [O, C/group, kernel…], bias [O]. */
export const conv = (x: tf.Tensor, w: tf.Tensor, bias: tf.Tensor | undefined, a: ConvAttributes): tf.Tensor =>
  forwardKernel(bias ? [x, w, bias] : [x, w], a);

/** The gradient of `conv` in x, which is also ONNX ConvTranspose with dy as its input. */
export const convInputGrad = (dy: tf.Tensor, w: tf.Tensor, a: ConvAttributes): tf.Tensor =>
  inputGradKernel([dy, w], a);

export { padSpatial, scatter, tapOf };
